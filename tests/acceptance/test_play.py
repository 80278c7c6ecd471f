"""`python -m bot demo --play`: the story plays itself in a terminal, and its exit code tells whether it held."""

from __future__ import annotations

import asyncio
import os
import pty
import sys
from pathlib import Path

import pytest

from bot.demo.play import play as play_here
from bot.demo.stage import Stage
from bot.demo.wire import Fault
from tests import warm

ROOT = Path(__file__).resolve().parents[2]
CANARY = "canary-8861-must-not-matter"


def _somebodys_settings(folder: Path) -> None:
    (folder / ".env").write_text(f"SLACK_BOT_TOKEN={CANARY}\nJIRA_URL=not an address\n")


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def play(folder: Path, *arguments: str, terminal: int | None = None, **more: str) -> tuple[int, str]:
    """Run it with a hostile environment: settings of somebody's real bot, which the demo has to ignore."""
    _somebodys_settings(folder)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "demo", "--play", *arguments, cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "TMPDIR": str(folder), "PMAGENT_MODE": "nonsense",
             "ANTHROPIC_API_KEY": CANARY, **more},
        stdout=terminal or asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 90)
    return process.returncode or 0, (out or b"").decode()


async def test_the_story_plays_itself_and_every_step_holds(tmp_path: Path) -> None:
    code, out = await play(tmp_path)
    assert code == 0, out
    for chapter in ("Approve", "Edit", "Skip", "Simulation", "Silence"):
        assert f"\n{chapter}\n" in out
    for line in (
        "the webhook is answered 202, evt_",
        "Claude is asked: triage by claude-haiku-5-5, reply by claude-sonnet-5-5",
        "Hi Ben, Ana has a fix in review: PR #12, one of two approvals so far.",
        "Dana Petrova presses Approve (acknowledged in ",
        "ECD-142 has exactly one new comment by PM Agent",
        "Audit: event.accepted → draft.created → draft.approved → draft.posting → draft.posted",
        "Audit: event.accepted → draft.created → draft.edited → draft.posting → draft.posted",
        "Audit: event.accepted → draft.created → draft.skipped",
        "Audit: event.accepted → draft.created → draft.approved → draft.simulated",
        "audit verify: ok ",
        "Every step held.",
    ):
        assert line in out
    assert "✗" not in out
    assert "\033[" not in out, "colours without a terminal"
    assert CANARY not in out
    assert _names(tmp_path) == [".env"], "the data folder was left behind"


async def test_verbose_on_a_terminal_shows_the_wire_in_colours_without_tokens(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    heard: list[bytes] = []

    def read() -> None:
        try:
            while chunk := os.read(ours, 65536):
                heard.append(chunk)
        except OSError:  # Linux says EIO at the end of a terminal
            return

    reading = asyncio.create_task(asyncio.to_thread(read))
    code, _ = await play(tmp_path, "-v", terminal=theirs)
    os.close(theirs)
    await reading
    os.close(ours)
    out = b"".join(heard).decode()
    assert code == 0, out
    assert "\033[32m" in out
    for line in ("jira webhook: POST", "POST /slack/api/chat.postMessage → 200", "POST /claude/v1/messages → 200",
                 "SOCKET /interactive/block_actions → 200", "/comment → 201"):  # fmt: skip
        assert line in out
    assert "Bearer" not in out
    assert "xoxb-" not in out


async def test_a_step_that_does_not_hold_ends_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stage = Stage(folder=tmp_path, starter=warm.start)
    stage.jira.fail(r"POST .*/issue/ECD-142/comment$", Fault("answer", status=403))
    code = await play_here(verbose=False, stage=stage, patience=3.0)
    out = capsys.readouterr().out
    assert code == 1
    assert "✗ jira: waited 9 s in vain for the reply on ECD-142" in out
    assert "did not hold." in out
