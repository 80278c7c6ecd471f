"""`python -m bot replay`: decided events once more, under other prompts, beside what people made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bot.demo.slack.people import DANA
from bot.demo.stage import Stage
from bot.prompting.files import FOLDER
from tests.acceptance.test_main_path import exported
from tests.hostile.support import until_so
from tests.stores import both

NO = {"should_respond": False, "reasoning": "Nothing is asked.", "response_text": "", "confidence": 0.9}


def yes(text: str) -> dict[str, Any]:
    return {"should_respond": True, "reasoning": "A question.", "response_text": text, "confidence": 0.9}


async def ask(stage: Stage, key: str, text: str) -> None:
    stage.jira.issue(key, status="In Progress", assignee="ana", reporter="ben")
    await stage.jira.comment(key, "ben", text)


async def story(stage: Stage) -> None:
    """Four events: one approved, one edited, one skipped, one silence; and one that waits for a decision."""
    await stage.start_bot()
    for key, words in (
        ("ECD-1", "Ana has it."),
        ("ECD-2", "Ana maybe has it."),
        ("ECD-3", "Who knows."),
        ("ECD-5", "Hm."),
    ):
        stage.claude.script(yes(words))
        await ask(stage, key, f"Who has {key}?")
        await stage.slack.card(key)
    stage.claude.script(NO)
    await ask(stage, "ECD-4", "Thanks.")
    await stage.slack.click(DANA, await stage.slack.card("ECD-1"), "Approve")
    await stage.slack.card("ECD-1", button="Undo")
    await stage.slack.click(DANA, await stage.slack.card("ECD-2"), "Edit")
    await stage.slack.submit(DANA, "Ana has it, she wrote so.")
    await stage.slack.card("ECD-2", button="Undo")
    card = await stage.slack.card("ECD-3")
    await stage.slack.click(DANA, card, "Skip")
    await stage.slack.changes(card, "kipped")


async def test_decided_events_under_other_prompts(stage: Stage, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    for path in FOLDER.glob("*.md"):
        (prompts / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    with (prompts / "voice.md").open("a", encoding="utf-8") as voice:
        voice.write("\nCANARY: be brief.\n")
    await story(stage)
    comments, messages = len(stage.jira.posted()), len(stage.slack.messages())
    asked = len(stage.claude.requests)
    arguments = ("replay", "--prompts", str(prompts), "--html", str(tmp_path / "page.html"))

    code, out = await stage.run(*arguments)  # while the bot runs
    assert code == 0, out
    assert "events                  4" in out
    assert "drafts then, and now    3, " in out
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for words in ("Approved by Dana", "Approved after an edit by Dana", "Skipped by Dana", "Ana maybe has it.",
                  "Ana has it, she wrote so.", "With these prompts:", "Thanks."):  # fmt: skip
        assert words in page, words
    assert "Who has ECD-5?" not in page

    again = stage.claude.requests[asked:]
    replies = [body for body in again if "CANARY: be brief." in str(body["system"])]
    assert len(again) > len(replies) >= 3
    assert (len(stage.jira.posted()), len(stage.slack.messages())) == (comments, messages)

    await stage.stop_bot()
    code, out = await stage.run(*arguments)
    assert code == 0
    assert "The bot is running" not in out


@both
async def test_what_is_not_for_the_channel_any_more_is_not_asked_about_again(stage: Stage) -> None:
    """Whether it ended in silence or in a comment: what Claude was shown of it is gone."""
    await stage.start_bot()
    for key in ("ECD-1", "ECD-2", "ECD-3"):
        stage.claude.script(yes("Ana has it.") if key == "ECD-1" else NO)
        await ask(stage, key, f"Who has {key}? zqwords")
        if key == "ECD-1":
            await stage.slack.click(DANA, await stage.slack.card("ECD-1"), "Approve")
            await stage.slack.card("ECD-1", button="Undo")
    for key in ("ECD-1", "ECD-2"):
        await stage.jira.change(key, "security", "Board")

    async def only_the_third_is_left() -> bool:
        return {c["issue"] for c in await exported(stage, "agent_cycles") if "zqwords" in str(c)} == {"ECD-3"}

    await until_so(only_the_third_is_left, 6)
    asked = len(stage.claude.requests)
    code, out = await stage.run("replay")
    assert code == 0, out
    assert "events                  1" in out
    assert "zqwords" in str(stage.claude.requests[asked:])
    assert not any(key in str(stage.claude.requests[asked:]) for key in ("ECD-1", "ECD-2"))


async def test_the_days_budget_holds_and_somebody_agrees_to_what_is_dear(stage: Stage) -> None:
    stage.claude.usage = {"input_tokens": 0, "output_tokens": 150_000, "cache_read_input_tokens": 0}
    stage.env["PMAGENT_DAILY_BUDGET_USD"] = "1.2"
    await stage.start_bot()
    stage.claude.script(yes("Ana has it."))
    await ask(stage, "ECD-1", "Who has it?")
    card = await stage.slack.card("ECD-1")
    await stage.slack.click(DANA, card, "Skip")
    await stage.slack.changes(card, "kipped")
    code, out = await stage.run("replay")
    assert code == 2
    assert "will cost about as much now" in out
    assert "--yes" in out
    asked = len(stage.claude.requests)
    code, out = await stage.run("replay", "--yes")
    assert code == 0, out
    assert len(stage.claude.requests) == asked, "the budget of the day is spent"
    assert "without an answer       1" in out
