"""Many drafts that wait for a decision, with their cards: put into the store and the stand-in, not made one by one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bot.cards import draft_card
from bot.clock import SystemClock
from bot.demo.slack.methods import with_ids
from bot.demo.slack.people import BOT_ID, BOT_USER, Message
from bot.demo.stage import Stage
from bot.domain.drafts import Card, Draft, Revision
from bot.domain.issues import Issue, Person
from bot.rules.policy import rendered
from bot.settings import load
from bot.store import Put
from bot.store.opening import store_of
from bot.workflow.records import draft_record

BEN = Person(account_id="712020:ben", name="Ben Okafor")
WORDS = "The export of large reports stops after a minute, and the log says nothing about it. " * 15
TOGETHER = 250
"""Drafts in one commit."""


def drafts(count: int, site: str, channel: str, *, begin: datetime) -> Iterator[Draft]:
    """So many, each on an issue of its own (`WAIT-1` …), a second apart."""
    for number in range(1, count + 1):
        key, at = f"WAIT-{number}", begin + timedelta(seconds=number)
        issue = Issue(
            key=key, project="WAIT", summary=f"Export {number} fails", status="In Progress", url=f"{site}/browse/{key}",
            description=WORDS, reporter=BEN, assignee=BEN,
        )  # fmt: skip
        draft = Draft(
            id=f"drf_waits{number:07}", event_id=f"evt_waits{number:07}", cycle_id=f"cyc_waits{number:07}", issue=issue,
            mode="production", revisions=(Revision(text=f"Answer {number} is in review.", by="claude", at=at),),
            answered_text="Is anybody looking at this?", answered_author="Ben Okafor", why="A question.",
            confidence=0.9, model="m", prompt="p", created=at, expires=at + timedelta(days=7),
            card=Card(channel=channel, ts=f"{at.timestamp():.6f}", shown=1),
        )  # fmt: skip
        yield draft.model_copy(update={"rendering": rendered(draft, site).digest})


async def waiting(stage: Stage, count: int, *, whole: int = 20) -> list[Message]:
    """So many drafts wait under production, in the stage's store; their messages, oldest first.

    The first and the last `whole` of those show the card; the others have its words alone, as nobody presses there.
    """
    settings = load(stage.env)
    store = await store_of(Path(stage.data), settings.database_url, clock=SystemClock(), zone=UTC)
    messages, puts, now = [], [], datetime.now(UTC)
    try:
        await store.commit(Put("state", {
            "id": "mode", "at": now.isoformat(), "mode": "production", "by": "system", "name": "the settings",
        }))  # fmt: skip
        begin = now - timedelta(seconds=count + 3600)
        for number, draft in enumerate(drafts(count, settings.site, stage.slack.approvals_channel, begin=begin)):
            puts.append(Put("drafts", draft_record(draft)))
            payload = {"type": "message", "user": BOT_USER, "bot_id": BOT_ID, "ts": draft.card.ts, "text": draft.text}
            if number < whole or number >= count - whole:
                card = draft_card(draft, site=settings.site, now=now, timezone=settings.timezone)
                payload |= {"text": card.text, "blocks": with_ids(card.blocks), "metadata": card.metadata}
            messages.append(Message(draft.card.channel, payload))
            if len(puts) == TOGETHER:
                await store.commit(*puts)
                puts.clear()
        await store.commit(*puts)
    finally:
        await store.close()
    stage.slack.log += messages
    return messages
