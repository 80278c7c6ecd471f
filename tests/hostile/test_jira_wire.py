"""One comment whatever the wire to Jira does to its POST, its answer and the looks for it (faults 32, 33 and 35)."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from bot.demo.slack.people import DANA, SAM
from bot.demo.stage import Stage
from bot.demo.wire import Fault
from tests.acceptance.test_main_path import exported
from tests.hostile.proxy import Proxy, Wire
from tests.hostile.support import cards, clean, question, until
from tests.model.reins import Reins
from tests.stores import both

DONE = {
    "ECD-1": Proxy.swallow,
    "ECD-2": Proxy.reset_answer,
    "ECD-3": Proxy.cut_answer,
    "ECD-4": Proxy.drip,
}
NOT_DONE = {"ECD-5": Proxy.cut_request, "ECD-6": Proxy.reset}


def post(key: str) -> str:
    return f"/issue/{key}/comment$"


@both
async def test_32_33_the_marker_tells_what_became_of_a_post(stage: Stage, wire: Wire, reins: Reins) -> None:
    """Done and the answer lost, reset, cut in its JSON, dripping beyond every deadline; or not done at all."""
    await stage.start_bot()
    keys = [*DONE, *NOT_DONE, "ECD-7"]
    waiting = dict(zip(keys, await cards(stage, *keys), strict=True))
    for key, fault in (DONE | NOT_DONE).items():
        fault(wire.jira, "POST", post(key))
    wire.jira.swallow("POST", post("ECD-7"))
    for card in waiting.values():
        assert (await stage.slack.click(DANA, card, "Approve")).acked
    await until(lambda: wire.jira.seen("POST", post("ECD-7")))
    # The looks that follow fare no better at first: those do not count.
    wire.jira.reset("GET", "/ECD-7/comment", times=2)
    wire.jira.cut_answer("GET", "/ECD-7/comment", times=2)
    for key in (*DONE, "ECD-7"):
        await stage.slack.changes(waiting[key], "Posted", seconds=40)
    for key in NOT_DONE:
        await stage.slack.card(key, button="Look again", seconds=20)
        assert waiting[key].buttons[:2] == ["Look again", "Post again"]
    assert {key: len(stage.jira.posted(key)) for key in keys} == {
        **dict.fromkeys([*DONE, "ECD-7"], 1), **dict.fromkeys(NOT_DONE, 0)
    }  # fmt: skip
    assert {key: len(wire.jira.seen("POST", post(key))) for key in keys} == dict.fromkeys(keys, 1)
    assert [call.fate for call in wire.jira.seen("GET", "/ECD-7/comment")].count("reset") == 2
    for key in NOT_DONE:
        await stage.slack.click(SAM, waiting[key], "Post again")
        await stage.slack.changes(waiting[key], "Posted", seconds=20)
        assert len(stage.jira.posted(key)) == 1
    clean(stage.log)


@both
async def test_35_jira_names_a_time(stage: Stage, wire: Wire) -> None:
    """As seconds, as a date, and in ways that make no sense: never at once, never twice, never for ever."""
    named = {"ECD-1": "", "ECD-2": "-7", "ECD-3": "soon", "ECD-4": "NaN", "ECD-5": "9" * 30, "ECD-6": "1e400"}
    await stage.start_bot()
    waiting = dict(zip(named, await cards(stage, *named), strict=True))
    date = (datetime.now(UTC) + timedelta(seconds=5)).replace(microsecond=0)
    named["ECD-1"] = format_datetime(date, usegmt=True)
    for key, after in named.items():
        stage.jira.fail(f"POST .*{post(key)}", Fault("answer", 429, {"Retry-After": after}))
        await stage.slack.click(DANA, waiting[key], "Approve")
    for key in ("ECD-1", "ECD-2", "ECD-3", "ECD-4"):
        await stage.slack.changes(waiting[key], "Posted", seconds=30)
        first, second = stage.jira.calls(f"POST .*{post(key)}")
        assert second.at - first.at >= timedelta(seconds=0.9), key
    assert stage.jira.calls(f"POST .*{post('ECD-1')}")[1].at >= date, "not before it"
    for key in ("ECD-5", "ECD-6"):
        assert "trying again in" in waiting[key].words
        assert len(stage.jira.calls(f"POST .*{post(key)}")) == 1
    states = {str(d["issue_key"]): d for d in await exported(stage, "drafts")}
    for key in ("ECD-5", "ECD-6"):
        due = datetime.fromisoformat(str(states[key]["due"]))
        assert due - datetime.now(UTC) <= timedelta(days=1), "a wait of more than a day is a mistake of the other side"
    assert await stage.stop_bot() == 0
    clean(stage.log)


async def test_what_is_read_on_a_bad_wire_is_read_again(stage: Stage, wire: Wire, reins: Reins) -> None:
    """An event waits for Jira and goes on by itself, whichever way its reads break."""
    await stage.start_bot()
    faults = (Proxy.reset, Proxy.cut_request, Proxy.cut_answer, Proxy.swallow)
    for number, fault in enumerate(faults, 1):
        fault(wire.jira, "GET", f"/issue/ECD-{number}[?]")
    await cards(stage, *(f"ECD-{number}" for number in range(1, len(faults) + 1)))
    assert {c.fate for c in wire.jira.seen("GET", r"/issue/ECD-\d[?]")} == {
        "passed", "reset", "cut_request", "cut_answer", "swallow"
    }  # fmt: skip
    wire.jira.refuse()
    await stage.jira.deliver(question(stage, "ECD-9"))
    await until(lambda: "cannot be reached" in stage.log)
    await wire.jira.start()
    await stage.slack.card("ECD-9", button="Approve")
    clean(stage.log)


@pytest.mark.soak
async def test_a_jira_that_drips_for_ever_holds_nobody(stage: Stage, wire: Wire) -> None:
    """Every read of one issue drips; the others are answered meanwhile, and the stop is in time."""
    wire.jira.drip("GET", "/issue/ECD-1[/?]", every=1.0, times=1000)
    stage.jira.issue("ECD-1")
    await stage.start_bot()
    for number in range(2, 8):
        await stage.slack.command(DANA, text="draft ECD-1")
        await cards(stage, f"ECD-{number}")
        await asyncio.sleep(5)
    assert await stage.stop_bot() == 0
    clean(stage.log)
