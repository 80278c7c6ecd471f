"""The situations go through the real program; their requests are files here, and the scorer agrees with stored answers.

A change of what Claude is shown changes `tests/evals/requests`: `PMAGENT_TEST_UPDATE=1 pytest tests/evals` writes them
anew, and the difference is what a reviewer looks at.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.claims import claims_of, named_in, well_formed
from bot.commands.evals import SITUATIONS
from bot.demo.claude.stand_in import ClaudeStandIn
from bot.demo.wire import Server
from bot.errors import UserError
from bot.evals.language import is_in
from bot.evals.page import page
from bot.evals.report import EvalRun, Scored, table
from bot.evals.running import SituationOutcome, run_situations
from bot.evals.scoring import score
from bot.evals.situation import CATEGORIES, NOW, Example, Situation, load_situations
from bot.prompting.files import FOLDER
from bot.prompting.untrusted import TAG, read_block
from bot.support import given, unsupported
from tests import warm

REQUESTS = Path(__file__).parent / "requests"
UPDATE = os.environ.get("PMAGENT_TEST_UPDATE") == "1"
ALL = load_situations(SITUATIONS)


class Rehearsed(ClaudeStandIn):
    """Answers each situation with its first stored answer, or with silence where that is due."""

    def __init__(self) -> None:
        super().__init__()
        self.situations = {s.issue.key: s for s in ALL}

    def _write(self, body: dict[str, Any]) -> dict[str, Any]:
        message = body["messages"][-1]["content"]
        text = message if isinstance(message, str) else message[0]["text"]
        situation = self.situations[read_block(text)["issue"]["key"]]
        triage = text.startswith("Task: triage")
        decision = {"reasoning": "As rehearsed.", "should_respond": situation.expect.reply, "confidence": 0.9}
        if triage or not situation.expect.reply:
            return {**decision, "response_text": ""}
        right = situation.examples[0]
        return {**decision, "response_text": right.text, "look_twice": "", "claims": right.stated}


@asynccontextmanager
async def rehearsed() -> AsyncIterator[tuple[str, str]]:
    """Address and key of a model that knows the stored answers."""
    standin, server = Rehearsed(), Server()
    server.mount("/claude/", standin.application())
    await server.start()
    try:
        yield f"{server.url}/claude", standin.api_key
    finally:
        await standin.close()
        await server.stop()


def shown(outcome: SituationOutcome) -> str:
    """What Claude was shown, as the file has it. The prompts are files already; the clock goes on while they run."""
    parts = []
    for call in outcome.calls:
        lines = call.message.splitlines()
        assert lines[1].startswith("Now: Wednesday 2026-03-04 09:3"), lines[1]
        lines[1] = "Now: Wednesday 2026-03-04 09:30 (UTC)"
        parts.append("\n".join(lines))
    return "\n\n==========\n\n".join(parts) + "\n" if parts else "(no request: a rule settled it)\n"


async def test_what_claude_is_shown_is_what_its_file_has() -> None:
    async with rehearsed() as (url, key):
        outcomes = await run_situations(
            ALL, upstream=url, key=key, prompts=FOLDER, told=lambda _: None, starter=warm.start
        )
    wrong, faults = [], {}
    for outcome in outcomes:
        request, path = shown(outcome), REQUESTS / f"{outcome.situation.id}.txt"
        if UPDATE:
            path.write_text(request, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != request:
            wrong.append(outcome.situation.id)
        if found := score(outcome.situation, outcome.decided, outcome.text, outcome.unsupported, outcome.reason):
            faults[outcome.situation.id] = found
    assert not faults
    assert not wrong, f"shown otherwise than tests/evals/requests has it (PMAGENT_TEST_UPDATE=1 writes them): {wrong}"


def test_there_is_a_file_for_every_situation_and_no_other() -> None:
    assert {path.stem for path in REQUESTS.glob("*.txt")} == {s.id for s in ALL}


def test_there_are_situations_enough_of_every_category() -> None:
    assert len(ALL) >= 84
    assert all(sum(s.category == category for s in ALL) >= 7 for category in CATEGORIES)


def stored() -> Iterator[Any]:
    for situation in ALL:
        for number, example in enumerate(situation.examples):
            yield pytest.param(situation, example, id=f"{situation.id}-{number}")


def marks(situation: Situation, example: Example) -> tuple[str, ...]:
    """The words of an answer that the support check marks, by what the file has of the request."""
    request = (REQUESTS / f"{situation.id}.txt").read_text(encoding="utf-8").rpartition("\n==========\n")[2]
    if TAG not in request:
        return ()
    claims = claims_of(well_formed(example.stated) or (), example.text, situation.issue.key)
    assert len(claims) == len(example.claims), "a claim lacks the form, or its quote does not stand in the answer"
    return unsupported(example.text, given(read_block(request), NOW), named_in(claims))


@pytest.mark.parametrize(("situation", "example"), list(stored()))
def test_the_scorer_agrees_with_the_stored_answers(situation: Situation, example: Any) -> None:
    decided = "draft" if example.text else "silence"
    faults = score(situation, decided, example.text, marks(situation, example))
    assert {fault.check for fault in faults} == set(example.fails), faults


def test_every_situation_that_is_answered_has_a_right_and_a_wrong_answer() -> None:
    for situation in ALL:
        if situation.expect.reply:
            assert [example for example in situation.examples if not example.fails], situation.id
            assert [example for example in situation.examples if example.fails], situation.id
            assert not situation.examples[0].fails, situation.id


async def test_the_command_compares_two_folders_of_prompts_and_writes_a_page(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for path in FOLDER.glob("*.md"):
        (other / path.name).write_text(path.read_text(encoding="utf-8") + "\nBe brief.\n", encoding="utf-8")
    asked = ("--only", "direct-in-review", "--prompts", str(other), "--html", "page.html")
    async with rehearsed() as (url, key):
        code, out, err = await command(tmp_path, url, key, *asked)
    assert (code, err) == (0, "")
    assert re.search(r"direct +1 of 1 +1 of 1\n", out)
    assert "What flipped:\n  nothing" in out
    written = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert written.count("&lt;untrusted_data&gt;") == 4  # triage and reply, of two folders


def test_a_report_tells_what_did_not_pass() -> None:
    situation = next(s for s in ALL if s.id == "direct-in-review")
    wrong = situation.examples[1].text
    outcome = SituationOutcome(situation, "draft", text=wrong, cost=0.004)
    result = Scored(outcome, tuple(score(situation, "draft", wrong)))
    told = table([EvalRun("prompts", (result,))])
    assert "✗ direct-in-review: " in told
    assert "promise: says “will be ready”" in told
    assert re.search(r"direct +0 of 1\n", told)
    assert "What flipped" not in told
    shown_page = page([EvalRun("prompts", (result,))])
    assert "<b>promise</b>: says “will be ready”" in shown_page
    assert "The customer demo is on Thursday." in shown_page


async def test_an_unknown_situation_is_named(tmp_path: Path) -> None:
    code, _, err = await command(tmp_path, "http://127.0.0.1:9", "sk-x", "--only", "nonsense")
    assert code == 2
    assert "no situation and no category nonsense" in err


async def test_without_a_key_it_says_what_it_needs(tmp_path: Path) -> None:
    code, _, err = await command(tmp_path, "http://127.0.0.1:9", "")
    assert code == 2
    assert "ANTHROPIC_API_KEY" in err


async def command(folder: Path, url: str, key: str, *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "evals", *arguments, cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(FOLDER.parent), "ANTHROPIC_BASE_URL": url,
             **({"ANTHROPIC_API_KEY": key} if key else {})},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 120)
    return process.returncode or 0, out.decode(), err.decode()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[[situation]]\nid = 'A B'", "situation A B: id"),
        ("[[situation]\n", "is not TOML"),
        (
            '[[situation]]\nid="a"\nwhat="x"\nissue={key="E-1",summary="s"}\nexpect={reply=true,mention=["("]}',
            "expect.mention",
        ),
    ],
)
def test_a_bad_file_is_named_with_what_is_wrong(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "direct.toml").write_text(content)
    with pytest.raises(UserError, match=r"direct\.toml") as error:
        load_situations(tmp_path)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Hi Ben, Ana has a fix in review; it is not merged yet.", "en"),
        ("Hallo Jonas, das ist noch bei Ana, der Status ist In Progress.", "de"),
        ("Bonjour Léa, ce n'est pas encore en production : la PR est ouverte.", "fr"),
        ("Hola Rosa, la corrección está en revisión y no hay fecha.", "es"),
        ("PR #7のレビュアーは佐藤さんです。", "ja"),
    ],
)
def test_languages_are_told_apart(text: str, language: str) -> None:
    assert is_in(text, language)
    assert not any(is_in(text, other) for other in ("en", "de", "fr", "es", "ja") if other != language)
