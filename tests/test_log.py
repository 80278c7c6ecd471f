"""The log: whoever speaks, no secret is in it, and every line says which event and draft it is about."""

from __future__ import annotations

import base64
import io
import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bot.log import REPEATED, bound, configure, get_logger
from bot.log.redaction import Redactor
from bot.log.repeats import MAX_DIFFERENT_LINES, MAX_PLACES, Repeats
from bot.safety import REDACTED, tidy
from bot.settings import Settings, load

ROOT = Path(__file__).parents[1]
CANARY = 'canary-"q\\uote"-ä+/=%41-and-more'
EMAIL = "bot@serviceaccount.atlassian.com"


def settings() -> Settings:
    return load(
        {
            "ANTHROPIC_API_KEY": "claude-canary",
            "ATLASSIAN_SERVICE_ACCOUNT_EMAIL": EMAIL,
            "ATLASSIAN_SERVICE_ACCOUNT_TOKEN": "atlassian-canary",
            "ATLASSIAN_CLOUD_ID": "cloud",
            "JIRA_URL": "https://example.atlassian.net",
            "JIRA_WEBHOOK_SECRET": f"hook-canary-number-1,{CANARY}",
            "SLACK_BOT_TOKEN": "xoxb-bot-canary",
            "SLACK_APP_TOKEN": "xapp-app-canary",
            "SLACK_CHANNEL_APPROVALS": "C0APPROVE",
            "PMAGENT_APPROVERS": "U0DANA",
        }
    )


def lines(out: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("form", ["json", "text"])
@pytest.mark.parametrize(
    "name", ["bot.x", "slack_sdk.web", "atlassian.rest_client", "httpx2", "uvicorn.error", "asyncio"]
)
def test_no_secret_whoever_speaks(form: str, name: str) -> None:
    out = io.StringIO()
    found = settings()
    configure(found, stream=out, form=form)
    basic = base64.b64encode(f"{EMAIL}:atlassian-canary".encode()).decode()
    for secret in (*found.secrets(), basic, quote(CANARY, safe=""), repr(CANARY), json.dumps(CANARY)):
        get_logger(name).warning("said %s", secret, inside={"deep": [secret, {secret: 1}]}, raw=secret.encode())
        logging.getLogger(name).warning("said %s and %r", secret, {"header": f"Basic {secret}"})
        try:
            try:
                raise ValueError(f"first {secret}")
            except ValueError as error:
                raise RuntimeError(secret) from error
        except RuntimeError:
            get_logger(name).exception("failed", url=f"https://u:{secret}@host/?t={secret}")
            logging.getLogger(name).exception("failed")
    text = out.getvalue()
    assert "canary" not in text
    assert basic not in text
    assert quote(CANARY, safe="") not in text
    assert text.count(REDACTED) >= 50
    assert "RuntimeError" in text


@pytest.mark.usefixtures("restored")
def test_event_and_draft_id_stand_on_every_line_inside() -> None:
    out = io.StringIO()
    configure(None, stream=out, form="json")
    with bound(event_id="evt_1", draft_id=None):
        get_logger("a").info("one")
        with bound(draft_id="d1"):
            logging.getLogger("slack_sdk").warning("two")
    get_logger("a").info("three", n=3)
    one, two, three = lines(out)
    assert (one["event"], one["event_id"], one.get("draft_id")) == ("one", "evt_1", None)
    assert (two["event_id"], two["draft_id"], two["logger"]) == ("evt_1", "d1", "slack_sdk")
    assert "event_id" not in three
    assert (three["n"], three["level"], three["logger"]) == (3, "info", "a")
    assert str(three["timestamp"]).endswith("Z")


@pytest.mark.usefixtures("restored")
def test_what_looks_like_a_secret_is_hidden_without_being_a_setting() -> None:
    out = io.StringIO()
    configure(None, stream=out, form="json")
    key = "sk-ant-api03-" + "A1b2" * 20
    get_logger().warning("found", text=f"my key is {key}, keep it")
    assert key not in out.getvalue()
    assert "keep it" in out.getvalue()


@pytest.mark.usefixtures("restored")
def test_a_ticket_cannot_draw_on_the_terminal() -> None:
    out = io.StringIO()
    configure(None, stream=out, form="text")
    get_logger().warning("x\x1b[2Jy", value="\x1b]0;title\x07", reason="two\nlines")
    assert "\x1b" not in out.getvalue()
    assert out.getvalue().count("\n") == 1


@pytest.mark.usefixtures("restored")
def test_chatty_libraries_are_quiet_below_warnings() -> None:
    out = io.StringIO()
    configure(None, stream=out, form="json", level=logging.DEBUG)
    for name in (
        "slack_sdk.web.async_client",
        "atlassian.rest_client",
        "urllib3.connectionpool",
        "anthropic._base_client",
    ):
        logging.getLogger(name).debug("body: …")
        logging.getLogger(name).info("HTTP Request: …")
    assert out.getvalue() == ""


@pytest.mark.usefixtures("restored")
def test_a_line_that_cannot_be_written_stops_nothing_and_says_nothing_of_its_content() -> None:
    class Full(io.StringIO):
        broken = True

        def write(self, text: str) -> int:
            if self.broken:
                raise OSError(28, "No space left on device")
            return super().write(text)

    out = Full()
    configure(settings(), stream=out, form="json")
    get_logger().warning("lost", value=CANARY)
    out.broken = False
    logging.getLogger("x").warning("%d items", "canary")
    get_logger().warning("there again")
    assert "there again" in out.getvalue()
    assert "canary" not in out.getvalue()


@given(st.text(min_size=1, max_size=30), st.text(max_size=20), st.text(max_size=20))
def test_redactor_finds_any_secret_in_any_text(secret: str, before: str, after: str) -> None:
    redactor = Redactor([secret])
    inside = f"{before} {secret} {after}"
    if len(secret) >= 4 and secret not in REDACTED:
        assert secret not in redactor.known(inside).replace(REDACTED, "\0")
        assert json.dumps(secret)[1:-1] not in redactor.known(json.dumps(inside)).replace(REDACTED, "\0")


ODD = st.text(st.sampled_from("ab.~-_\"'\\%+ é\n"), min_size=1, max_size=12)


@given(st.lists(ODD, min_size=1, max_size=3), st.data())
def test_the_look_for_cores_misses_no_form_of_a_secret(secrets: list[str], data: st.DataObject) -> None:
    redactor = Redactor(secrets, users=["user"])
    secret = data.draw(st.sampled_from(secrets))
    basic = base64.b64encode(f"user:{secret}".encode()).decode()
    shown = (
        secret,
        json.dumps(secret),
        repr(secret),
        repr(json.dumps(secret)),
        quote(secret),
        quote_plus(secret),
        basic,
    )
    for form in shown:
        text = f"x {form} y"
        assert redactor.known(text) == (redactor._known.sub(REDACTED, text) if redactor._known else text)


def test_a_secret_of_a_few_characters_does_not_make_the_log_unreadable() -> None:
    redactor = Redactor(["abc"])
    assert redactor.known("abcdef abc 1") == f"abcdef {REDACTED} 1"


@pytest.mark.usefixtures("restored")
def test_our_own_secrets_are_hidden_in_every_text_from_outside() -> None:
    """A ticket that quotes the token, a service that echoes it: both pass `tidy` before anybody sees them."""
    found = settings().model_copy(update={"jira_webhook_secret": (SecretStr("test"),)})
    configure(found, stream=io.StringIO(), form="json")
    assert tidy("the token is atlassian-canary, is it not?") == f"the token is {REDACTED}, is it not?"
    assert tidy("a test is a test") == "a test is a test"  # a secret that is a word hides no words


PROGRAM = """
import asyncio, sys, threading, warnings
from bot.log import configure
from bot.settings import load
configure(load({environment!r}))
warnings.warn("canary-in-a-warning xoxb-bot-canary")
def work(): raise ValueError("xoxb-bot-canary")
thread = threading.Thread(target=work); thread.start(); thread.join()
class Odd:
    def __del__(self): raise ValueError("xoxb-bot-canary")
Odd()
async def main():
    asyncio.get_running_loop().call_soon(work)
    await asyncio.sleep(0.01)
asyncio.run(main())
raise RuntimeError("xoxb-bot-canary")
"""


def test_what_nobody_caught_is_redacted_too() -> None:
    environment = {
        "ANTHROPIC_API_KEY": "k-canary", "ATLASSIAN_SERVICE_ACCOUNT_EMAIL": "a@example.com",
        "ATLASSIAN_SERVICE_ACCOUNT_TOKEN": "t-canary", "JIRA_URL": "https://x.example",
        "JIRA_WEBHOOK_SECRET": "signing-secret-canary",
        "SLACK_BOT_TOKEN": "xoxb-bot-canary", "SLACK_APP_TOKEN": "xapp-a-canary", "SLACK_CHANNEL_APPROVALS": "C0A",
        "PMAGENT_APPROVERS": "U0A",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("{environment!r}", repr(environment))],
        cwd=ROOT, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "xoxb-bot-canary" not in done.stderr + done.stdout
    found = [json.loads(line) for line in done.stderr.splitlines()]  # not a terminal: JSON, nothing else
    assert sum("ValueError" in str(line.get("exception")) for line in found) == 3
    assert "RuntimeError" in found[-1]["exception"]


def failing(number: int) -> None:
    raise OSError(24, f"Too many open files, number {number}")


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("name", ["bot.x", "asyncio", "uvicorn.error", "aiohttp.server", "slack_sdk.socket_mode"])
@pytest.mark.parametrize("whose", ["ours", "a library's"])
def test_an_error_that_repeats_is_a_few_lines_and_a_count(name: str, whose: str) -> None:
    out = io.StringIO()
    configure(settings(), stream=out, form="json")
    for number in range(2000):
        try:
            failing(number)
        except OSError as error:
            if whose == "ours":
                get_logger(name).exception("accept.failed", event_id="evt_1", took=number / 7)
            else:
                logging.getLogger(name).error(f"socket.accept() out of resource {number}", exc_info=error)
    said = len(lines(out))
    assert said <= MAX_DIFFERENT_LINES
    logging.getLogger().handlers[0].close()  # as at the end of the process, or of the minute
    *_, count = lines(out)
    assert (count["event"], count["logger"], count["level"]) == (REPEATED, name, "error")
    assert count["times"] == 2000 - said


@pytest.mark.usefixtures("restored")
def test_what_differs_is_said() -> None:
    out = io.StringIO()
    configure(settings(), stream=out, form="json")
    for number in range(5):
        with bound(draft_id=f"d{number}"):
            get_logger("a").warning("draft.failed")
            get_logger("b").warning("draft.failed")
            logging.getLogger("c").warning("%s failed", number)
    for _ in range(100):
        get_logger("a").info("draft.created")
    assert len(lines(out)) == 115


def test_the_count_comes_when_nothing_more_is_said_and_once_a_minute() -> None:
    told: list[tuple[str, int]] = []
    repeats = Repeats(lambda place, count: told.append((place.what, count)), seconds=0.2)
    for _ in range(10):
        repeats.again("a", 40, "here", "same", "x")
    waits_for(lambda: told == [("x", 9)])
    assert repeats.again("a", 40, "here", "same", "x"), "it goes on: only the count is told"
    waits_for(lambda: told == [("x", 9), ("x", 1)])
    time.sleep(0.3)
    assert not repeats.again("a", 40, "here", "same", "x"), "after a quiet minute it is said again"


def test_who_floods_a_place_hides_what_else_is_said_there_for_a_minute_and_no_longer() -> None:
    told: list[int] = []
    repeats = Repeats(lambda place, count: told.append(count), seconds=0.2)
    said = sum(not repeats.again("a", 40, "here", n, "x") for n in range(100))
    waits_for(lambda: told == [90])
    assert said == MAX_DIFFERENT_LINES
    assert not repeats.again("a", 40, "here", "another reason", "x")
    assert repeats.again("a", 40, "here", "another reason", "x")
    said = sum(not repeats.again("a", 40, "here", n, "x") for n in range(100, 1_000))
    assert said == MAX_DIFFERENT_LINES - 1


def test_places_without_number_are_counted_together() -> None:
    told: dict[str, int] = {}
    repeats = Repeats(lambda place, count: told.update({place.what: count}))
    said = sum(not repeats.again(f"logger {n}", 40, n, n, f"w{n}") for n in range(20_000))
    repeats.tell()
    assert said == MAX_PLACES + MAX_DIFFERENT_LINES
    assert told == {"others": 20_000 - said}


def waits_for(look: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not look():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_importing_configures_nothing() -> None:
    code = "import logging, bot.log; assert not logging.getLogger().handlers; bot.log.get_logger('x')"
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, check=True, timeout=30)
