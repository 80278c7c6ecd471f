"""The main job as a person sees it: a question in Jira, a card in Slack, a click, one comment in Jira."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import jsonschema
import pytest

from bot.demo.slack.people import DANA, SAM
from bot.demo.stage import Stage

ADF_SCHEMA = Path(__file__).parents[3] / "shared" / "schemas" / "adf.json"
REPLY = """Hi Ben, **Ana** has this in review. It is not merged yet.

- one approval so far
- Chen is the second reviewer"""
YES = {"should_respond": True, "reasoning": "A direct status question.", "response_text": REPLY, "confidence": 0.86}
NO = {"should_respond": False, "reasoning": "Only thanks.", "response_text": "", "confidence": 0.97}


def valid_adf(body: object) -> None:
    """Atlassian's own schema decides."""
    if not ADF_SCHEMA.exists():
        pytest.skip(f"Atlassian's schema is not beside the repository ({ADF_SCHEMA.name}): the ADF is not checked")
    jsonschema.Draft4Validator(json.loads(ADF_SCHEMA.read_text())).validate(body)


async def ask(stage: Stage, key: str = "ECD-1", text: str = "Ana, is anybody looking at this?") -> None:
    """Ben asks on an issue that Ana has."""
    stage.jira.issue(key, "Export fails for large reports", status="In Progress", assignee="ana", reporter="ben")
    await stage.jira.comment(key, "ben", text)


async def exported(stage: Stage, table: str) -> list[dict[str, object]]:
    code, out = await stage.run("export", table)
    assert code == 0, out
    return [json.loads(line) for line in out.splitlines()]


async def test_question_card_approve_comment(stage: Stage) -> None:
    await stage.start_bot()
    stage.claude.script(YES)
    await ask(stage)
    card = await stage.slack.card("ECD-1")
    assert card.buttons == ["Approve", "Edit", "Skip"]
    for shown in ("ECD-1", "Export fails for large reports", "In Progress", "Ana Ruiz", "Ben Okafor"):
        assert shown in card.words
    for shown in (
        "is anybody looking at this?",
        "Ana has this in review",
        "A direct status question",
        "names no fact that it rests on",
    ):
        assert shown in card.words
    assert (card.unfurl_links, card.unfurl_media) == (False, False)
    assert not stage.jira.posted()

    ack = await stage.slack.click(DANA, card, "Approve")
    assert ack.acked
    assert ack.ms < 3000
    await stage.slack.changes(card, "Posted")
    posted = stage.jira.posted("ECD-1")
    assert len(posted) == 1
    valid_adf(posted[0].body)
    marker = posted[0].properties["pm-agent"]
    assert marker["approved_by"] == DANA
    assert marker["sha256"] == hashlib.sha256(REPLY.encode()).hexdigest()
    assert marker["model"] == "claude-sonnet-5-5"
    assert marker["prompt"]
    assert not {"Approve", "Edit", "Skip"} & set(card.buttons)
    assert card.buttons[-1:] == ["Undo"]
    assert "Dana" in card.words
    assert f"{stage.jira.base}/browse/ECD-1?focusedCommentId={posted[0].id}" in card.links
    # The one POST carried text and marker together.
    [call] = stage.jira.calls(r"POST .*/rest/api/3/issue/ECD-1/comment$")
    assert call.request["body"]
    assert call.request["properties"]

    events, cycles = await exported(stage, "webhook_events"), await exported(stage, "agent_cycles")
    drafts, trail = await exported(stage, "drafts"), await exported(stage, "audit")
    event_id = next(e["id"] for e in events if e["state"] == "done" and e["reason"] == "draft")
    assert [c["event_id"] for c in cycles if c["outcome"] == "draft"] == [event_id]
    assert [(d["event_id"], d["state"]) for d in drafts] == [(event_id, "posted")]
    story = [a["action"] for a in trail if a["event_id"] == event_id]
    assert story == ["event.accepted", "draft.created", "draft.approved", "draft.posting", "draft.posted"]
    assert next(a["actor"] for a in trail if a["action"] == "draft.approved") == f"slack:{DANA}"
    code, out = await stage.run("audit", "verify")
    assert (code, out.split()[0]) == (0, "ok")


async def test_edit_is_an_approval_of_the_edited_text(stage: Stage) -> None:
    await stage.start_bot()
    stage.claude.script(YES)
    await ask(stage)
    card = await stage.slack.card("ECD-1")
    await stage.slack.click(DANA, card, "Edit")
    modal = await stage.slack.opened(DANA)
    assert modal.text == REPLY
    ack = await stage.slack.submit(DANA, "Ana is on it; *Chen* reviews next.")
    assert ack.acked
    assert ack.ms < 3000
    assert stage.slack.modal(DANA) is None
    await stage.slack.changes(card, "Posted")
    [posted] = stage.jira.posted("ECD-1")
    valid_adf(posted.body)
    assert posted.properties["pm-agent"]["sha256"] == hashlib.sha256(b"Ana is on it; *Chen* reviews next.").hexdigest()
    assert "Ana is on it" in card.words
    [draft] = await exported(stage, "drafts")
    assert [r["by"] for r in draft["revisions"]] == ["claude", f"slack:{DANA}"]  # type: ignore[attr-defined]  # JSON


async def test_skip_writes_nothing(stage: Stage) -> None:
    await stage.start_bot()
    stage.claude.script(YES)
    await ask(stage)
    card = await stage.slack.card("ECD-1")
    await stage.slack.click(SAM, card, "Skip")
    await stage.slack.changes(card, "Skipped")
    assert "Sam" in card.words
    assert card.buttons == []
    assert not stage.jira.calls(r"(POST|PUT|DELETE) .*/issue/ECD-1/")


async def test_simulation_writes_nothing(stage: Stage) -> None:
    await stage.start_bot(PMAGENT_MODE="simulation")
    stage.claude.script(YES, YES)
    await ask(stage)
    card = await stage.slack.card("ECD-1")
    assert "imulation" in card.words
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "imulat")
    await stage.slack.card("ECD-1", shows="Dana")
    await ask(stage, "ECD-2")
    other = await stage.slack.card("ECD-2")
    await stage.slack.click(DANA, other, "Edit")
    await stage.slack.opened(DANA)
    await stage.slack.submit(DANA, "Another wording.")
    await stage.slack.card("ECD-2", shows="Another wording.")
    assert [d["state"] for d in await exported(stage, "drafts")] == ["simulated", "simulated"]
    assert not stage.jira.posted()
    assert not stage.jira.calls(r"(POST|PUT|DELETE) .*/rest/api/3/issue/")


async def test_silence_has_its_reason(stage: Stage) -> None:
    await stage.start_bot()
    stage.claude.script(NO)
    await ask(stage, text="Thanks, great work")
    while not await exported(stage, "agent_cycles"):  # each look is a process of its own, and time enough
        pass
    await stage.slack.command(DANA, "/pmagent", "why ECD-1")
    told = await stage.slack.whispered(DANA, "Only thanks.")
    assert "no answer is due" in told.words
    assert not await stage.slack.cards()
    assert len(stage.claude.requests) == 1


async def test_undo_takes_the_comment_back(stage: Stage) -> None:
    await stage.start_bot()
    stage.claude.script(YES)
    await ask(stage)
    card = await stage.slack.card("ECD-1")
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.card("ECD-1", button="Undo")
    await stage.slack.click(SAM, card, "Undo")
    await stage.slack.changes(card, "Undone by")
    assert not stage.jira.posted("ECD-1")
    assert card.buttons == []


async def test_service_desk_reply_is_internal(stage: Stage) -> None:
    await stage.start_bot()
    stage.jira.issue("SUP-1", "Cannot log in", status="Waiting for support", assignee="ana", reporter="mira")
    await stage.jira.comment("SUP-1", "mira", "When will this be fixed?")
    card = await stage.slack.card("SUP-1")
    assert "nternal" in card.words
    assert "For Ana: Mira asks about this." in card.words
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted")
    [posted] = stage.jira.posted("SUP-1")
    assert posted.public is False
    assert posted.properties["sd.public.comment"] == {"internal": True}


async def test_whoever_asks_for_a_draft_and_gets_none_hears_why(stage: Stage) -> None:
    await stage.start_bot()
    stage.claude.script(NO)
    stage.jira.issue("ECD-1", status="Done", assignee="ana")
    await stage.slack.command(DANA, "/pmagent", "draft ECD-1")
    told = await stage.slack.whispered(DANA, "There is no draft for ECD-1: no answer is due.")
    assert "Only thanks." in told.words
    assert "Only thanks." not in told.text
