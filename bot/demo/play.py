"""`demo --play`: the whole story in the terminal, by itself. Every line that says something held has been checked.

What a line says comes from the stand-ins (what really arrived there) and from the program's own `export` commands.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from bot.demo import story
from bot.demo.jira import adf
from bot.demo.jira.world import JiraComment
from bot.demo.process import BotFailed
from bot.demo.show import real_claude
from bot.demo.slack.people import DANA, PRIYA, SAM, Message
from bot.demo.stage import Stage
from bot.demo.wire import Exchange

Json = dict[str, Any]
WIDTH = 100
EDITED = "Hi Ben, nobody has looked into the cause yet. Elif, can you say since when it is slow?"


class DidNotHold(AssertionError):
    """A step of the story that did not come out as it should. The text says what was found instead."""


def hold(what: Any, found: str) -> None:
    """Raise `DidNotHold` with what was found, unless `what` is true."""
    if not what:
        raise DidNotHold(found)


class Voice:
    """Prints the story; colours only on a terminal, the wire only when asked for."""

    def __init__(self, stage: Stage, *, verbose: bool) -> None:
        self._colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._verbose = verbose
        self._heard: list[Exchange] = []
        self.failed = 0
        for standin in stage.standins:
            standin.listeners.append(self._heard.append)

    def paint(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._colour else text

    def chapter(self, title: str) -> None:
        print(f"\n{self.paint('1', title)}", flush=True)

    def held(self, line: str, *, quote: str = "") -> None:
        self._wire()
        print(f"  {self.paint('32', '✓')} {line}", flush=True)
        for part in quote.splitlines():
            for row in textwrap.wrap(part, WIDTH - 8) or [""]:
                print(f"      {self.paint('2', '│')} {row}", flush=True)

    def broke(self, line: str) -> None:
        self._wire()
        self.failed += 1
        print(f"  {self.paint('31', '✗')} {line}", flush=True)

    def _wire(self) -> None:
        heard, self._heard[:] = list(self._heard), []
        if not self._verbose:
            return
        for exchange in heard:
            line = f"{exchange.service}: {exchange.method} {exchange.path} → {exchange.status} in {exchange.ms:.0f} ms"
            print(self.paint("36", f"      {line}"))
            for arrow, body in (("→", exchange.request), ("←", exchange.response)):
                if body not in (None, ""):
                    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
                    print(self.paint("2", f"        {arrow} {textwrap.shorten(text, 400, placeholder=' …')}"))


@dataclass
class Asked:
    """A comment that led to a card."""

    comment: JiraComment
    event_id: str
    card: Message
    reply: str
    draft_id: str


class Play:
    """The chapters. Each raises `DidNotHold` at the first thing that is not as it should be."""

    def __init__(self, stage: Stage, voice: Voice, *, patience: float) -> None:
        self.stage, self.voice, self.patience = stage, voice, patience

    async def approve(self) -> None:
        """Comment, webhook, triage, draft, card, Approve, Jira comment, audit."""
        asked = await self._ask("ECD-142", "ben", story.SITUATIONS[0].text)
        await self._may_not(asked)
        await self._press(DANA, asked.card, "Approve")
        await self._in_jira("ECD-142", asked, asked.reply, DANA)
        await self._card_says(asked.card, "Posted by", "Dana Petrova")
        await self._audit(asked, "event.accepted", "draft.created", "draft.approved", "draft.posting", "draft.posted")

    async def edit(self) -> None:
        """The same, with other words from a person."""
        asked = await self._ask("ECD-151", "ben", story.SITUATIONS[2].text)
        await self._press(SAM, asked.card, "Edit")
        modal = await self.stage.slack.opened(SAM)
        hold(modal.text == asked.reply, f"the modal holds other words than the card: {modal.text!r}")
        ack = await self.stage.slack.submit(SAM, EDITED)
        hold(ack.acked and self.stage.slack.modal(SAM) is None, f"the modal did not close: {modal.errors or ack.error}")
        self.voice.held(f"Sam rewrites the draft in the modal and submits it (acknowledged in {ack.ms:.0f} ms)")
        await self._in_jira("ECD-151", asked, EDITED, SAM)
        await self._card_says(asked.card, "Posted by", "Sam Whitfield")
        await self._audit(asked, "event.accepted", "draft.created", "draft.edited", "draft.posting", "draft.posted")

    async def skip(self) -> None:
        """A person says no: nothing is written."""
        asked = await self._ask("SUP-27", "mira", story.SITUATIONS[5].text)
        await self._press(DANA, asked.card, "Skip")
        await self._card_says(asked.card, "Skipped by", "Dana Petrova")
        self._nothing_in_jira("SUP-27")
        await self._audit(asked, "event.accepted", "draft.created", "draft.skipped")

    async def simulation(self) -> None:
        """The same as the first, in simulation."""
        ack = await self.stage.slack.command(DANA, "/pmagent", "mode simulation")
        hold(ack.acked, "the command was not acknowledged")
        await self.stage.slack.notice("imulation", self.patience)
        self.voice.held("Dana types /pmagent mode simulation; the channel is told")
        before = len(self.stage.jira.posted("ECD-142"))
        asked = await self._ask("ECD-142", "elif", story.SITUATIONS[1].text)
        await self._press(DANA, asked.card, "Approve")
        await self._card_says(asked.card, "Simulated:", "Dana Petrova")
        hold(len(self.stage.jira.posted("ECD-142")) == before, "something was written to Jira")
        self.voice.held("Jira has no new comment")
        await self._audit(asked, "event.accepted", "draft.created", "draft.approved", "draft.simulated")

    async def silence(self) -> None:
        """Small talk leads to a recorded reason and nothing else."""
        cards = len(self.stage.slack.drafts())
        written = await self.stage.jira.comment("ECD-142", "chen", story.SITUATIONS[3].text)
        event_id = written.deliveries[-1].event_id or ""
        cycle = await self._cycle(event_id)
        hold(cycle["outcome"] == "silence", f"it ended in {cycle['outcome']}")
        hold(len(self.stage.slack.drafts()) == cards, "a card was posted")
        reason = cycle.get("reasoning") or cycle.get("reason")
        self.voice.held("Chen says thanks on ECD-142; no card, and the reason is recorded:", quote=str(reason))

    async def the_end(self) -> None:
        """The chain of audit records is whole."""
        code, out = await self.stage.run("audit", "verify")
        hold(code == 0 and out.startswith("ok "), out)
        self.voice.held(f"python -m bot audit verify: {out.strip()[:70]}…")

    # Steps

    async def _ask(self, key: str, author: str, text: str) -> Asked:
        slack, jira = self.stage.slack, self.stage.jira
        cards = len(slack.drafts(key))
        started = time.monotonic()
        comment = await jira.comment(key, author, text)
        delivery = comment.deliveries[-1]
        hold(delivery.status == 202 and delivery.event_id, f"the webhook was answered {delivery.status}")
        event_id = str(delivery.event_id)
        name = jira.account(author).name
        self.voice.held(f"{name} comments on {key}; the webhook is answered 202, {event_id}", quote=text)
        card = await slack.card(key, self.patience, number=cards)
        took = time.monotonic() - started
        cycle = await self._cycle(event_id)
        calls = ", ".join(f"{c['purpose']} by {c['model']}" for c in cycle["calls"])
        hold(cycle["outcome"] == "draft" and calls, f"it ended in {cycle['outcome']}: {cycle.get('reason')}")
        self.voice.held(f"Claude is asked: {calls}")
        draft = await self._draft(event_id)
        reply = str(draft["revisions"][-1]["text"])
        hold(card.buttons[:3] == ["Approve", "Edit", "Skip"], f"the card has {card.buttons}")
        hold(_squeezed(reply) in _squeezed(card.words), "the card does not show the whole draft")
        audience = {"internal": "as an internal note", "public": "in public"}.get(draft["audience"], draft["audience"])
        self.voice.held(f"{took:.1f} s later a card asks in #pm-approvals; it would answer {audience}", quote=reply)
        return Asked(comment, event_id, card, reply, str(draft["id"]))

    async def _may_not(self, asked: Asked) -> None:
        before, heard = asked.card.words, len(self.stage.slack.whispers(PRIYA))
        await self.stage.slack.click(PRIYA, asked.card, "Approve")
        told = await self.stage.slack.whispered(PRIYA, seconds=self.patience, after=heard)
        hold(asked.card.words == before, "the card changed")
        self.voice.held("Priya, who may not decide, presses Approve and is told so privately:", quote=told.words)

    async def _press(self, user: str, card: Message, button: str) -> None:
        ack = await self.stage.slack.click(user, card, button)
        name = self.stage.slack.people[user].name
        hold(ack.acked, f"{name}'s {button} was not acknowledged within 3 s ({ack.error})")
        self.voice.held(f"{name} presses {button} (acknowledged in {ack.ms:.0f} ms)")

    async def _in_jira(self, key: str, asked: Asked, text: str, user: str) -> None:
        jira = self.stage.jira

        def ours() -> list[JiraComment]:
            return [
                c for c in jira.posted(key) if (c.properties.get("pm-agent") or {}).get("draft_id") == asked.draft_id
            ]

        await jira.until(ours, self.patience, f"for the reply on {key}")
        hold(len(ours()) == 1, f"the reply stands {len(ours())} times in {key}")
        comment = ours()[0]
        hold(not adf.problems(comment.body), f"its document is not valid: {adf.problems(comment.body)[:1]}")
        marker = comment.properties["pm-agent"]
        hold(marker["approved_by"] == user, f"its marker says it was approved by {marker['approved_by']}")
        hold(_squeezed(text) == _squeezed(_text(comment.body)), f"Jira shows other words: {_text(comment.body)!r}")
        self.voice.held(f"{key} has exactly one new comment by PM Agent, marked with draft and approver {user}")

    def _nothing_in_jira(self, key: str) -> None:
        hold(not self.stage.jira.posted(key), f"{key} has a comment by PM Agent")
        self.voice.held(f"{key} has no comment by PM Agent")

    async def _card_says(self, card: Message, *words: str) -> None:
        for word in words:
            await self.stage.slack.changes(card, word, self.patience)
        hold(not {"Approve", "Edit", "Skip"} & set(card.buttons), f"the card still has {card.buttons}")
        line = next(line for line in card.words.splitlines() if words[0] in line)
        self.voice.held(f"The card says: {line.strip()}")

    async def _audit(self, asked: Asked, *actions: str) -> None:
        deadline = time.monotonic() + self.patience
        found: list[str] = []
        while time.monotonic() < deadline:
            records = await self._export("audit")
            found = [r["action"] for r in records if asked.event_id == r["event_id"] or asked.draft_id == r["draft_id"]]
            if _in_order(actions, found):
                self.voice.held(f"Audit: {' → '.join(actions)}")
                return
            await asyncio.sleep(0.1)
        raise DidNotHold(f"the audit trail has {' → '.join(found)}")

    async def _cycle(self, event_id: str) -> Json:
        return await self._record("agent_cycles", lambda r: r["event_id"] == event_id and r.get("outcome"))

    async def _draft(self, event_id: str) -> Json:
        return await self._record("drafts", lambda r: r["event_id"] == event_id)

    async def _record(self, table: str, fits: Callable[[Json], Any]) -> Json:
        deadline = time.monotonic() + self.patience
        while time.monotonic() < deadline:
            for record in await self._export(table):
                if fits(record):
                    return record
            await asyncio.sleep(0.1)
        raise DidNotHold(f"{table} has no such record")

    async def _export(self, table: str) -> list[Json]:
        code, out = await self.stage.run("export", table)
        hold(code == 0, f"export {table} ended with {code}: {out[-300:]}")
        return [json.loads(line) for line in out.splitlines() if line.strip()]


async def play(
    *, verbose: bool, claude_key: str = "", stage: Stage | None = None, patience: float | None = None
) -> int:
    """Tell the story. 0 when every step held, else 1. `patience`: seconds to wait for each thing to happen."""
    stage = stage or Stage()
    voice = Voice(stage, verbose=verbose)
    model = "the real Claude" if claude_key else "a small rule-based stand-in, not Claude"
    print(f"PM Agent against stand-ins of Slack, Jira and Bitbucket on this machine. The replies are by {model}.")
    try:
        await stage.open()
        real_claude(stage, claude_key)
        story.prepare(stage)
        await stage.start_bot()
        await story.announce(stage)
        whole = Play(stage, voice, patience=patience or (60.0 if claude_key else 20.0))
        chapters: tuple[tuple[str, Callable[[], Awaitable[None]]], ...] = (
            ("Approve", whole.approve), ("Edit", whole.edit), ("Skip", whole.skip), ("Simulation", whole.simulation),
            ("Silence", whole.silence), ("The record", whole.the_end),
        )  # fmt: skip
        for title, chapter in chapters:
            voice.chapter(title)
            try:
                await chapter()
            except AssertionError as error:  # of ours, and of the stand-ins' waiting
                voice.broke(str(error))
        code = await stage.stop_bot()
        hold(code == 0, f"the program ended with {code}")
    except (BotFailed, DidNotHold) as error:
        voice.broke(str(error))
    finally:
        await stage.close()
        shutil.rmtree(stage.folder, ignore_errors=True)
    print("\n" + ("Every step held." if not voice.failed else f"{voice.failed} steps did not hold."), flush=True)
    return 1 if voice.failed else 0


def _squeezed(text: str) -> str:
    return "".join(letter for letter in text if letter.isalnum())


def _text(node: Any) -> str:
    """The words of an ADF document."""
    if node.get("type") == "text":
        return str(node["text"])
    if node.get("type") == "mention":
        return str(node["attrs"].get("text") or "")
    return "\n".join(_text(child) for child in node.get("content", ()))


def _in_order(wanted: tuple[str, ...], found: list[str]) -> bool:
    rest = iter(found)
    return all(action in rest for action in wanted)
