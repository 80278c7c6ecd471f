"""What is posted is what was seen: one rendering for card and Jira, and a draft that Slack cannot show whole."""

from __future__ import annotations

from bot.demo.slack.limits import walk
from bot.demo.slack.people import DANA, Message
from bot.demo.stage import Stage
from tests.acceptance.test_main_path import REPLY, YES, ask, exported

EVIL = "https://evil.example/login"


def too_many_parts(stage: Stage) -> str:
    """45 rows of formatted cells, and a link that is disguised as one to Jira."""
    rows = "".join(f"| `part {n}` | **{n}** | `ok` |\n" for n in range(45))
    return f"| part | count | state |\n|---|---|---|\n{rows}\n[{stage.jira.base}/browse/ECD-1]({EVIL})"


def links_in(value: object) -> list[str]:
    """The targets of an ADF document's links."""
    return [node["attrs"]["href"] for node in walk(value) if node.get("type") == "link"]


def draft_of(card: Message) -> str:
    """The words of the draft's own block."""
    block = next(b for b in walk(card.blocks) if b.get("block_id") == "draft")
    return "".join(item["text"] for item in walk(block) if isinstance(item.get("text"), str))


async def test_a_draft_that_slack_cannot_show_whole_is_asked_for_again_simpler(stage: Stage) -> None:
    await stage.start_bot(PMAGENT_TRIAGE_MODEL="claude-sonnet-5-5")
    stage.claude.script({**YES, "response_text": too_many_parts(stage)}, YES)
    await ask(stage, text=f"Ana, is anybody looking at this? I was sent to {EVIL}")
    card = await stage.slack.card("ECD-1", button="Approve")
    assert "Ana has this in review" in card.words
    assert "part 44" not in card.words
    first, second = stage.claude.requests
    assert "simpler" not in str(first["messages"])
    assert "cannot be shown whole in one Slack message" in str(second["messages"])
    assert "simpler" in str(second["messages"])
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted")
    [posted] = stage.jira.posted("ECD-1")
    assert links_in(posted.body) == []


async def test_twice_too_complex_is_a_recorded_reason(stage: Stage) -> None:
    await stage.start_bot(PMAGENT_TRIAGE_MODEL="claude-sonnet-5-5")
    complex_one = {**YES, "response_text": too_many_parts(stage)}
    stage.claude.script(complex_one, complex_one)
    await ask(stage, text=f"Ana, is anybody looking at this? I was sent to {EVIL}")
    notice = await stage.slack.notice("ECD-1")
    assert notice.buttons == ["Retry"]
    assert "cannot be shown whole in one Slack message" in notice.words
    assert len(stage.claude.requests) == 2
    assert await exported(stage, "drafts") == []
    [cycle] = await exported(stage, "agent_cycles")
    assert (cycle["outcome"], len(cycle["calls"])) == ("failure", 2)  # type: ignore[arg-type]  # JSON


async def test_an_edit_that_slack_cannot_show_whole_stays_in_the_window(stage: Stage) -> None:
    await stage.start_bot()
    stage.claude.script(YES)
    await ask(stage, text=f"Ana, is anybody looking at this? I was sent to {EVIL}")
    card = await stage.slack.card("ECD-1", button="Approve")
    typed = too_many_parts(stage)
    await stage.slack.click(DANA, card, "Edit")
    await stage.slack.opened(DANA)
    ack = await stage.slack.submit(DANA, typed)
    assert ack.acked
    modal = await stage.slack.opened(DANA)
    assert modal.text == typed
    assert "cannot be shown whole in one Slack message" in modal.words
    [draft] = await exported(stage, "drafts")
    assert draft["state"] == "waiting"
    assert card.buttons == ["Approve", "Edit", "Skip"]

    simpler = f"See [{stage.jira.base}/browse/ECD-1]({EVIL})."
    await stage.slack.submit(DANA, simpler)
    await stage.slack.changes(card, "Posted")
    [posted] = stage.jira.posted("ECD-1")
    assert links_in(posted.body) == [EVIL]
    assert f"{stage.jira.base}/browse/ECD-1 (evil.example/login)" in draft_of(card)


async def test_a_disguised_link_shows_where_it_leads(stage: Stage) -> None:
    await stage.start_bot()
    text = f"{REPLY}\n\nSee [{stage.jira.base}/browse/ECD-1]({EVIL}) and [ECD-1]({EVIL}).\n\n```evil-language\nx\n```"
    stage.claude.script({**YES, "response_text": text})
    await ask(stage, text=f"Ana, is anybody looking at this? I was sent to {EVIL}")
    card = await stage.slack.card("ECD-1", button="Approve")
    assert f"{stage.jira.base}/browse/ECD-1 (evil.example/login)" in draft_of(card)
    assert "ECD-1 (evil.example/login)." in draft_of(card)
    assert "evil-language" in draft_of(card)
    assert "⚠ 2 links are not what their words say" in card.words


async def test_a_reply_is_not_posted_otherwise_than_its_card_showed_it(stage: Stage) -> None:
    """The site is another one after a restart: what was marked as plain text would be a link now."""
    await stage.start_bot()
    other = f"{stage.server.url}/browse/ECD-2".replace("127.0.0.1", "localhost")
    stage.claude.script({**YES, "response_text": f"See [the other issue]({other})."})
    await ask(stage)
    card = await stage.slack.card("ECD-1", button="Approve")
    assert f"the other issue ({other})" in draft_of(card)
    assert "will be posted as plain text: “the other issue” leads to " in card.words
    await stage.stop_bot()
    await stage.start_bot(JIRA_URL=stage.env["JIRA_URL"].replace("127.0.0.1", "localhost"))
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Please look at it again")
    assert stage.jira.posted("ECD-1") == []
    assert card.buttons == ["Approve", "Edit", "Skip"]
    await stage.slack.click(DANA, card, "Approve")
    await stage.slack.changes(card, "Posted")
    [posted] = stage.jira.posted("ECD-1")
    assert links_in(posted.body) == [other]
    assert "the other issue (localhost:" in draft_of(card)
