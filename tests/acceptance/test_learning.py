"""Learning from what people change, over the wire: reasons for Skip, corrected pairs, and a proposed change."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bot.demo.slack.people import DANA, OLGA, PRIYA, SAM, Message
from bot.demo.stage import Stage
from bot.demo.wire import Fault
from bot.prompting import read_block
from bot.store import Put
from bot.store.opening import store_of
from tests.acceptance.test_main_path import exported
from tests.acceptance.test_slack_approval import waiting_card
from tests.stores import both

WROTE = "Hi Ben, Ana has this in review, and 4711 reports are affected."
MADE = "Ana has this in review; 4711 reports are affected."


def messages(stage: Stage, key: str) -> list[str]:
    """What Claude was asked about an issue, besides its instructions: triage and reply."""
    found = [str(body["messages"][0]["content"]) for body in stage.claude.requests]
    return [m for m in found if m.startswith(("Task: triage", "Task: reply")) and read_block(m)["issue"]["key"] == key]


def shown(stage: Stage, key: str) -> dict[str, Any]:
    """The data of the newest request for a reply."""
    found: dict[str, Any] = read_block([m for m in messages(stage, key) if m.startswith("Task: reply")][-1])
    return found


async def edited(stage: Stage, key: str, made: str = MADE, **answer: Any) -> Message:
    """A reply on this issue that Dana has changed and approved."""
    card = await waiting_card(stage, key, **{"response_text": WROTE, **answer})
    await stage.slack.click(DANA, card, "Edit")
    await stage.slack.opened(DANA)
    await stage.slack.submit(DANA, made)
    await stage.slack.changes(card, "Posted")
    return card


@both
async def test_the_next_request_in_the_project_is_given_what_was_changed_as_data(stage: Stage) -> None:
    await stage.start_bot(PMAGENT_ADMINS=OLGA, JIRA_PUBLIC_REPLIES="SUP")
    slack = stage.slack
    first = await edited(stage, "ECD-1")
    assert "learned" not in shown(stage, "ECD-1")
    card = await waiting_card(stage, "ECD-2", response_text="Hi Ben, 4711 reports are affected.")
    pair = {"asked": "Ana, is anybody looking at this?", "written": WROTE, "changed_to": MADE}
    assert shown(stage, "ECD-2")["learned"] == [pair]
    assert "“4711” is not in the issue" in card.words, "what was learned is no fact"
    triage, reply = messages(stage, "ECD-2")
    assert ("4711" in triage, "4711" in reply) == (False, True)
    for other in ("OPS-1", "SUP-1"):  # another project; a reply that the customer sees
        await waiting_card(stage, other)
        assert "4711" not in "".join(messages(stage, other)), other
    assert "4711" not in str([c for c in await exported(stage, "agent_cycles") if c["issue"] == "ECD-2"])
    trail = await exported(stage, "audit")
    created = {r["issue"]: r["details"].get("learned") for r in trail if r["action"] == "draft.created"}  # type: ignore[attr-defined]  # JSON
    assert [bool(created[key]) for key in ("ECD-1", "ECD-2", "OPS-1", "SUP-1")] == [False, True, False, False]

    # Who sees it, and who may have it forgotten.
    await slack.command(PRIYA, text="learned")
    await slack.whispered(PRIYA, "not among the approvers")
    await slack.command(SAM, text="learned ecd")
    told = await slack.whispered(SAM, "One correction is in use")
    assert (MADE in told.words, told.message.buttons) == (True, [])
    await slack.command(OLGA, text="learned")
    told = await slack.whispered(OLGA, "One correction is in use")
    await slack.click(SAM, told, "Forget")
    await slack.whispered(SAM, "Only admins")
    await slack.click(OLGA, told, "Forget")
    await slack.until(lambda: "Nothing is learned yet" in told.words)
    assert told.message.buttons == []
    await waiting_card(stage, "ECD-3")
    assert "learned" not in shown(stage, "ECD-3")

    # What was undone, and what got a security level, teaches nothing any more.
    second = await edited(stage, "ECD-4")
    await slack.click(DANA, second, "Undo")
    await slack.changes(second, "Undone by")
    await edited(stage, "ECD-5")
    await stage.jira.change("ECD-5", "security", "Board")
    await slack.until(lambda: _forgotten(stage), 15, "for the security level")
    await waiting_card(stage, "ECD-6")
    assert "learned" not in shown(stage, "ECD-6")
    assert first.buttons in ([], ["Undo"])


@both
async def test_what_gets_a_level_while_it_is_posted_teaches_nothing(stage: Stage) -> None:
    await stage.start_bot(PMAGENT_ADMINS=OLGA)
    card = await waiting_card(stage, "ECD-1", response_text=WROTE)
    await stage.slack.click(DANA, card, "Edit")
    await stage.slack.opened(DANA)
    posting = Fault("hang", over=asyncio.Event())
    stage.jira.fail(r"POST .*/rest/api/3/issue/ECD-1/comment$", posting)
    await stage.slack.submit(DANA, MADE)
    await stage.slack.until(lambda: posting.met, 15, "for the POST")
    await stage.jira.change("ECD-1", "security", "Board")
    for _ in range(60):
        ended = [e["reason"] for e in await exported(stage, "webhook_events") if e["kind"] == "issue_changed"]
        if ended == ["context"]:
            break
        await asyncio.sleep(0.25)
    assert ended == ["context"], "what waited on the issue has been ended"
    assert posting.over
    posting.over.set()
    await stage.slack.changes(card, "Posted")
    await stage.slack.command(OLGA, text="learned")
    await stage.slack.whispered(OLGA, "Nothing is learned yet")
    await edited(stage, "ECD-2")
    await stage.slack.command(OLGA, text="learned")
    told = await stage.slack.whispered(OLGA, "One correction is in use")
    assert "ECD-2" in told.words


def _forgotten(stage: Stage) -> bool:
    return "learned.dropped" in stage.log


async def test_skip_asks_why_once_and_only_whoever_skipped(stage: Stage) -> None:
    await stage.start_bot()
    slack = stage.slack
    card = await waiting_card(stage)
    await slack.click(DANA, card, "Skip")
    asked = await slack.whispered(DANA, "You skipped ECD-1")
    assert asked.message.buttons == ["Not needed", "Wrong", "Too late", "I answer myself", "Other"]
    for other, says in ((SAM, "Only who skipped"), (PRIYA, "not among the approvers")):
        ack = await slack.click(other, asked, "Wrong")
        assert ack.acked
        await slack.whispered(other, says)
    forged = slack.pressed(DANA, asked, "Wrong")  # as if the button were in a message that everybody sees
    forged["container"]["is_ephemeral"], forged["message"] = False, {"ts": card.ts}
    await slack.send("interactive", forged)
    await slack.whispered(DANA, "not on the message that it belongs to")
    before, wrong = len(slack.whispers(DANA)), slack.pressed(DANA, asked, "Wrong")
    ack = await slack.click(DANA, asked, "Too late")
    await slack.until(lambda: asked.words == "Thanks.")
    assert asked.message.buttons == []
    await slack.again(ack)
    await slack.send("interactive", wrong)
    await slack.whispered(DANA, "answered this already", after=before)
    assert len(slack.whispers(DANA)) == before + 1
    draft = (await exported(stage, "drafts"))[0]
    assert draft["skip_reason"] == "too_late"
    await edited(stage, "ECD-2")
    code, out = await stage.run("stats", "--json")
    [row] = json.loads(out)["by_prompt"]
    assert code == 0
    assert (row["project"], row["drafts"], row["edited"], row["words_changed"]) == ("ECD", 2, 1, 4.0)
    assert (row["skipped"], row["skip_reasons"], row["posted"]) == (1, {"too_late": 1}, 1)
    assert row["cost_per_posted_usd"] > 0
    assert str(row["prompt"]).startswith("reply@")
    await slack.command(DANA, text="stats")
    told = await slack.whispered(DANA, "By project and prompt version")
    assert "2 drafts: 0 approved as drafted, 1 edited (4 words each), 1 skipped (1 too late)" in told.words
    trail = [r for r in await exported(stage, "audit") if r["action"] == "draft.skip_reason"]
    assert [(r["actor"], r["details"]["reason"]) for r in trail] == [(f"slack:{DANA}", "too_late")]  # type: ignore[index]  # JSON


def pair(number: int, **more: Any) -> Put:
    at = datetime.now(UTC) - timedelta(minutes=number)
    record = {
        "id": f"drf_{number}", "at": at.isoformat(), "event_id": f"evt_{number}",
        "issue": f"ECD-{number}", "project": "ECD", "audience": "public", "place": "ECD|public", "desk": False,
        "prompt": "reply@1", "by": f"slack:{DANA}", "asked_by": "a", "people": [], "asked": "Is anybody looking?",
        "wrote": f"Hi Ben, Ana has number {number}.", "made": f"Ana has number {number}.", **more,
    }  # fmt: skip
    return Put("corrections", record)


async def fill(stage: Stage, *records: Put) -> None:
    store = await store_of(stage.data, None, clock=_Now(), zone=UTC)
    await store.commit(*records)
    await store.close()


class _Now:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return 0.0


async def test_ten_corrections_lead_to_one_proposal_that_writes_nothing(stage: Stage) -> None:
    desk = {"desk": True, "audience": "internal", "place": "SUP|internal", "project": "SUP", "wrote": "zqcustomer"}
    await fill(stage, *(pair(n) for n in range(10)), pair(11, **desk))
    await stage.start_bot(PMAGENT_ADMINS=OLGA)
    slack = stage.slack
    message = await slack.notice("Claude proposes a change of its prompts", 20)
    assert "People take the greeting away" in message.words
    assert "“Hi Ben, Ana has number 3.” became “Ana has number 3.”" in message.words
    [body] = stage.claude.requests
    assert "zqcustomer" not in json.dumps(body)
    assert message.buttons == ["Accept", "Not now"]
    await slack.click(DANA, message, "Accept")
    await slack.whispered(DANA, "Only admins")
    await slack.click(OLGA, message, "Accept")
    await slack.changes(message, "accepted it")
    assert "--- a/prompts/voice.md" in message.words
    assert "\n-- Greet the one person" in message.words
    assert message.buttons == []
    await stage.stop_bot()
    await stage.start_bot(PMAGENT_ADMINS=OLGA)  # a week is not over
    await slack.command(OLGA, text="health")
    await slack.whispered(OLGA, "mode")
    assert len(stage.claude.requests) == 1
    actions = [str(r["action"]) for r in await exported(stage, "audit")]
    assert [a for a in actions if a.startswith("learning.")] == ["learning.proposed", "learning.accepted"]


@pytest.mark.parametrize("old", ["words that stand nowhere", "data"])
async def test_a_proposal_that_cannot_be_carried_out_is_recorded_and_dropped(stage: Stage, old: str) -> None:
    await fill(stage, *(pair(n) for n in range(10)))
    wrong = {
        "why": "x", "propose": True, "file": "voice.md", "old_text": old, "new_text": "y",
        "pairs": ["correction 1", "correction 2"],
    }  # fmt: skip
    stage.claude.script(wrong, wrong)
    await stage.start_bot()
    await stage.slack.until(lambda: "learning.dropped" in stage.log, 20, "for the proposal")
    [line] = [r for r in await exported(stage, "audit") if r["action"] == "learning.dropped"]
    assert "does not stand exactly once in voice.md" in str(line["details"])
    assert len(stage.claude.requests) == 2
    assert not stage.slack.messages()
