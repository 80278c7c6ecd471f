"""A service that drips for ever holds no thread: a call that is over its deadline is ended from outside."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from datetime import UTC, datetime

import pytest
import requests

from bot.clients import sockets
from bot.clients.bitbucket import Bitbucket
from bot.clients.jira.client import Jira
from bot.clients.worker_threads import MOST_LEFT_BEHIND
from bot.demo.stage import Stage
from bot.domain.issues import PullRequest
from bot.errors import OutcomeUnknown, RetryLater
from bot.settings import load
from tests.hostile.proxy import Wire
from tests.hostile.support import until, until_so

DEADLINE = 0.6
EVERY = 0.3
"""Seconds between two bytes of what drips."""
HELD = 200 * EVERY
"""Seconds for which a dripping answer holds its thread at the least: its head alone is longer than 200 bytes."""
PR = PullRequest(
    id="demo/app#1", repository="demo/app", number=1, title="", state="OPEN", url="", updated=datetime.now(UTC)
)


def threads(name: str, before: frozenset[threading.Thread] = frozenset()) -> int:
    """Threads of this name besides those of `before`: another test's client may still have one."""
    return sum(thread.name == name for thread in threading.enumerate() if thread not in before)


async def test_what_is_opened_after_the_end_is_shut_at_once() -> None:
    """The deadline may fall while the thread connects: its socket is not known yet."""
    listening = socket.create_server(("127.0.0.1", 0))
    session = sockets.session()
    failed: list[type[Exception]] = []

    def call() -> None:
        sockets.end(threading.get_ident())
        try:
            session.get(f"http://127.0.0.1:{listening.getsockname()[1]}/", timeout=60)
        except requests.RequestException as error:
            failed.append(type(error))
        finally:
            sockets.forget(threading.get_ident())

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    await asyncio.to_thread(thread.join, 20)
    session.close()
    listening.close()
    assert failed == [requests.ConnectionError]


async def test_what_drips_for_ever_holds_no_thread(stage: Stage, wire: Wire) -> None:
    """More calls than may be left behind, in several rounds: afterwards Jira is read as if nothing had been.

    A thread whose own timeout was a moment faster than the deadline is not left behind: it waits for the next call and
    ends when the client is closed, which one that hangs does not.
    """
    before = frozenset(threading.enumerate())
    jira = Jira(load(stage.env), deadline=DEADLINE)
    stage.jira.issue("ECD-1")
    wire.jira.drip("*", "/project/", every=EVERY, times=1000)
    wire.jira.never_answer("POST", "comment")
    for _ in range(MOST_LEFT_BEHIND // 12 + 1):
        answers = await asyncio.gather(*(jira.project("ECD") for _ in range(12)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {RetryLater}
    with pytest.raises(OutcomeUnknown):
        await jira.post_comment("ECD-1", {}, [])
    await until_so(lambda: reads(jira), HELD / 2)
    await jira.close()
    await until(lambda: threads("jira", before) == 0, HELD / 2)


async def reads(jira: Jira) -> bool:
    """Whether Jira is read again. It is refused while too many calls hang; a busy machine may miss the deadline too."""
    with contextlib.suppress(RetryLater):
        return bool((await jira.myself()).name)
    return False


async def test_bitbucket_drips_for_ever(stage: Stage, wire: Wire) -> None:
    before = frozenset(threading.enumerate())
    bitbucket = Bitbucket(load({**stage.env, "BITBUCKET_TOKEN": "x"}), deadline=DEADLINE)
    wire.bitbucket.drip("GET", "/pullrequests/", every=EVERY, times=10)
    wire.bitbucket.never_answer("GET", "/user")
    for call in (bitbucket.pull_request(PR), bitbucket.check()):
        with pytest.raises(RetryLater):
            await call
    await bitbucket.close()
    await until(lambda: threads("bitbucket", before) == 0, HELD / 2)
