"""The standup against the stand-ins: what is in it, what it does without Claude or Jira, and that it comes once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.cards.parts import MAX_MESSAGE, size
from bot.context import Context
from bot.demo.stage import Stage
from bot.demo.wire import Fault
from bot.domain.issues import PullRequest
from bot.errors import RetryLater
from bot.prompting import Sentence
from bot.reports.facts import Fact, StandupFacts, last_working_day
from bot.reports.standup import gather, standup_due, standup_now, write
from bot.reports.standup_message import Report, standup_message
from bot.schedule.loop import tick
from bot.schedule.rules import At, Run
from bot.schedule.runs import claim
from bot.schedule.table import ScheduleEntry, entries
from bot.settings import load
from bot.store import Conflict, Put
from bot.store.embedded.store import TinyStore
from bot.wiring import build

BERLIN = ZoneInfo("Europe/Berlin")
# The stand-in's search counts its days from the real clock, so the story happens around the last Monday.
_today = datetime.now(BERLIN).replace(hour=9, minute=30, second=0, microsecond=0)
MONDAY = _today - timedelta(days=_today.weekday() or 7)
FRIDAY, THURSDAY = MONDAY - timedelta(days=3), MONDAY - timedelta(days=4)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.at = MONDAY

    def now(self) -> datetime:
        return self.at.astimezone(UTC)

    def monotonic(self) -> float:
        return self.at.timestamp()


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def opened(stage: Stage, clock: Clock) -> Context:
    found = load({**stage.env, "PMAGENT_STANDUP_AT": "09:30 mon-fri", "PMAGENT_TIMEZONE": "Europe/Berlin"})
    ctx = build(found, TinyStore.open(stage.data, clock=clock), clock)
    await ctx.slack.start()
    return ctx


async def closed(ctx: Context) -> None:
    for part in (ctx.slack, ctx.jira, ctx.bitbucket, ctx.claude, ctx.store):
        await part.close()


@pytest.fixture
async def ctx(stage: Stage, clock: Clock) -> AsyncIterator[Context]:
    """The program's own parts on the stage, without its loops."""
    found = await opened(stage, clock)
    yield found
    await closed(found)


async def a_weekend(stage: Stage, ctx: Context) -> None:
    """What the standup on Monday is about."""
    jira = stage.jira
    jira.issue(
        "ECD-142", assignee="ana", status="In Progress", at=THURSDAY - timedelta(days=5), due=f"{MONDAY:%Y-%m-%d}"
    )
    await jira.change("ECD-142", "status", "Selected", by="chen", announce=False, at=THURSDAY)
    await jira.change("ECD-142", "status", "In Review", by="ana", announce=False, at=FRIDAY)
    jira.write("ECD-142", "ben", "Is anybody looking at this? <!channel>", at=FRIDAY + timedelta(hours=2))
    jira.issues["ECD-142"].updated = FRIDAY + timedelta(hours=2)
    jira.issue("ECD-7", "Rounding", assignee="chen", at=FRIDAY, due=f"{MONDAY - timedelta(days=2):%Y-%m-%d}")
    jira.write(
        "ECD-7", "ana", "the plan is secretive", at=FRIDAY, visibility={"type": "role", "value": "Administrators"}
    )
    jira.issue("SUP-3", "Login", at=FRIDAY, reporter="mira")
    jira.write("SUP-3", "ben", "an inside remark", public=False, at=FRIDAY)
    jira.issue("ECD-8", "Finished", status="Done", at=FRIDAY, due=f"{MONDAY:%Y-%m-%d}", assignee="ana")
    pr = PullRequest(
        id="acme/export#12", repository="acme/export", number=12, title="ECD-142 Stream exports", state="OPEN",
        url="https://bitbucket.org/acme/export/pull-requests/12", author="Ana Ruiz",
        reviewers=("Ben Okafor", "Chen Wei"), approved_by=("Ben Okafor",), keys=("ECD-142",), updated=FRIDAY,
    )  # fmt: skip
    record = {**pr.model_dump(mode="json"), "at": FRIDAY.isoformat(), "type": "pull_request"}
    branch = {"id": "acme/export:x", "at": FRIDAY.isoformat(), "type": "branch", "keys": ["ECD-142"]}
    await ctx.store.commit(Put("development", record), Put("development", branch))


def lines(facts: StandupFacts, kind: Any) -> list[str]:
    return sorted(f"{f.ref} · {f.person} · {f.text}" for f in facts.of(kind))


def seen(message: Any) -> str:
    """All that a reader of the message sees, as one text."""
    found: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            found.append(value["text"]) if isinstance(value.get("text"), str) else None
            for key, inner in value.items():
                walk(inner) if key != "text" else None
        elif isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(message.blocks)
    return "\n".join(found)


# What is in it


async def test_what_moved_waits_and_is_due(stage: Stage, ctx: Context) -> None:
    await a_weekend(stage, ctx)
    facts = await gather(ctx, ctx.clock.now())
    assert facts.notes == ()
    assert facts.since == datetime(FRIDAY.year, FRIDAY.month, FRIDAY.day, tzinfo=BERLIN)
    moved = lines(facts, "moved")
    assert "ECD-142 · Ana Ruiz · “Export fails for large reports”: Selected → In Review" in moved
    assert (
        "ECD-142 · Ben Okafor · “Export fails for large reports”: commented: “Is anybody looking at this? <!channel>”"
        in moved
    )
    assert "SUP-3 · Mira Lang · “Login”: created it" in moved
    assert "acme/export#12 · Ana Ruiz · “ECD-142 Stream exports”: open, 1 of 2 approvals" in moved
    assert not [line for line in moved if "To Do → Selected" in line or "Chen Wei · Export" in line]  # Thursday's
    waits = lines(facts, "waits")
    assert (
        "ECD-142 · Ana Ruiz · “Export fails for large reports”: "
        "Ben Okafor asked “Is anybody looking at this? <!channel>”" in waits
    )
    assert "acme/export#12 · Chen Wei · “ECD-142 Stream exports”: review, 1 of 2 approvals so far" in waits
    overdue = f"{MONDAY - timedelta(days=2):%Y-%m-%d}"
    assert lines(facts, "due") == [
        "ECD-142 · Ana Ruiz · “Export fails for large reports”: due today, In Review",
        f"ECD-7 · Chen Wei · “Rounding”: overdue since {overdue}, To Do",
    ]


async def test_comments_that_not_everybody_may_see_are_counted_and_not_quoted(stage: Stage, ctx: Context) -> None:
    await a_weekend(stage, ctx)
    facts = await gather(ctx, ctx.clock.now())
    assert "ECD-7 · Ana Ruiz · “Rounding”: commented" in lines(facts, "moved")
    text = facts.model_dump_json()
    assert "secretive" not in text
    assert "inside remark" not in text


async def test_other_projects_are_left_out(stage: Stage, clock: Clock) -> None:
    stage.env["JIRA_PROJECTS"] = "SUP"
    ctx = await opened(stage, clock)
    await a_weekend(stage, ctx)
    facts = await gather(ctx, clock.now())
    assert {fact.project for fact in facts.facts} == {"SUP"}
    await closed(ctx)


async def test_claude_writes_on_top_of_the_facts(stage: Stage, ctx: Context) -> None:
    await a_weekend(stage, ctx)
    stage.claude.script(
        {
            "sentences": [
                {
                    "text": "Ana moved ECD-142 to review, and Chen's review is missing.",
                    "refs": ["ECD-142", "acme/export#12"],
                },
                {"text": "Everything will be done tomorrow.", "refs": []},
                {"text": "ECD-999 is blocked.", "refs": ["ECD-999"]},
            ]
        }
    )
    report = await write(ctx, await gather(ctx, ctx.clock.now()))
    message = standup_message(report)
    assert [line.refs for line in report.lines] == [("ECD-142", "acme/export#12")]
    text = seen(message)
    assert "tomorrow" not in text
    assert "ECD-999" not in text
    assert text.index("is missing") < text.index("Moved in ECD") < text.index("Waits for") < text.index("Due")
    assert {block["type"] for block in message.blocks} == {"rich_text"}
    assert '"broadcast"' not in json.dumps(message.blocks)
    assert sum(call.cost_usd for call in report.calls) > 0
    sent = json.dumps(stage.claude.requests[-1])
    assert "secretive" not in sent


async def test_facts_alone_when_claude_is_down(stage: Stage, ctx: Context) -> None:
    await a_weekend(stage, ctx)
    stage.claude.fail("/v1/messages", *[Fault("answer", status=529)] * 20)
    report = await write(ctx, await gather(ctx, ctx.clock.now()))
    text = seen(standup_message(report))
    assert report.lines == ()
    assert "The facts alone" in text
    assert "Selected → In Review" in text


async def test_jira_down_is_said_and_the_rest_is_there(stage: Stage, ctx: Context) -> None:
    await a_weekend(stage, ctx)
    stage.jira.fail("/rest/api/3/", *[Fault("answer", status=503)] * 20)
    report = await write(ctx, await gather(ctx, ctx.clock.now()))
    text = seen(standup_message(report))
    assert "Jira could not be read" in text
    assert "acme/export#12" in text
    assert "Nothing moved" not in text


async def test_nothing_happened(stage: Stage, ctx: Context) -> None:
    report = await write(ctx, await gather(ctx, ctx.clock.now()))
    assert "Nothing moved" in seen(standup_message(report))
    assert stage.claude.requests == []  # nothing to write about costs nothing


async def test_shared_by_a_person(stage: Stage, ctx: Context) -> None:
    await a_weekend(stage, ctx)
    private = await standup_now(ctx, share=False, by="U0DANA")
    assert stage.slack.messages() == []
    await standup_now(ctx, share=True, by="U0DANA")
    assert [m.text for m in stage.slack.messages(ctx.settings.standup_channel)] == [private.text]
    trail = await ctx.store.find("audit")
    assert [(r["action"], r["actor"]) for r in trail] == [("standup.posted", "slack:U0DANA")]


# Once a day


def at(ctx: Context) -> At:
    time = ctx.settings.standup_time
    assert time is not None
    return At(time, BERLIN)


def entry(ctx: Context) -> ScheduleEntry:
    return ScheduleEntry("standup", lambda _: at(ctx), standup_due)


async def posted(stage: Stage, ctx: Context) -> list[Any]:
    return stage.slack.messages(ctx.settings.standup_channel)


async def actions(ctx: Context) -> list[tuple[str, Any]]:
    return [(r["action"], r["details"].get("date")) for r in await ctx.store.find("audit")]


async def test_54_once_a_day_whatever_is_restarted(stage: Stage, ctx: Context, clock: Clock) -> None:
    clock.at = MONDAY - timedelta(seconds=10)
    assert await tick(ctx, entry(ctx)) == pytest.approx(10.0)
    assert await posted(stage, ctx) == []
    clock.at = MONDAY
    await tick(ctx, entry(ctx))
    await tick(ctx, entry(ctx))
    again = await opened_again(stage, ctx, clock)
    clock.at = MONDAY + timedelta(hours=1)
    await tick(again, entry(again))
    day = f"{MONDAY:%Y-%m-%d}"
    assert len(await posted(stage, again)) == 1
    assert await actions(again) == [("standup.posted", day)]
    message = (await posted(stage, again))[0]
    assert message.metadata == {"event_type": "pmagent_standup", "event_payload": {"id": day}}
    clock.at = MONDAY + timedelta(days=1)
    await tick(again, entry(again))
    assert len(await posted(stage, again)) == 2
    published = (await again.store.find("audit"))[0]["hash"]
    assert published in json.dumps((await posted(stage, again))[1].blocks)  # the head as it was before this one
    await closed(again)


async def opened_again(stage: Stage, ctx: Context, clock: Clock) -> Context:
    """The next process: the same folder, another everything."""
    await closed(ctx)
    return await opened(stage, clock)


async def test_a_new_folder_owes_nothing_that_nobody_asked_for(stage: Stage, clock: Clock) -> None:
    """Installed at 10:00 with the time that the settings have by themselves: the first standup is tomorrow's."""
    ctx = await opened(stage, clock)
    by_default = ScheduleEntry("standup", lambda _: replace(at(ctx), asked=False), standup_due)
    for minutes in (30, 60, 180):
        clock.at = MONDAY + timedelta(minutes=minutes)
        await tick(ctx, by_default)
    assert (await posted(stage, ctx), await actions(ctx)) == ([], [])
    clock.at = MONDAY + timedelta(days=1, minutes=30)  # down at 09:30 of the second day: late, as it is promised
    await tick(ctx, by_default)
    assert [action for action, _ in await actions(ctx)] == ["standup.posted"]
    await closed(ctx)


@pytest.mark.parametrize(("setting", "asked"), [({}, False), ({"PMAGENT_STANDUP_AT": "09:30 mon-fri"}, True)])
async def test_a_time_that_somebody_set_is_asked_for(stage: Stage, setting: dict[str, str], asked: bool) -> None:
    others = {name: value for name, value in stage.env.items() if name != "PMAGENT_STANDUP_AT"}
    standup = next(entry for entry in entries() if entry.name == "standup")
    rule = standup.rule(load({**others, **setting}))
    assert isinstance(rule, At)
    assert rule.asked is asked


async def test_a_new_folder_before_the_first_standup_owes_it(stage: Stage, clock: Clock) -> None:
    ctx = await opened(stage, clock)
    by_default = ScheduleEntry("standup", lambda _: replace(at(ctx), asked=False), standup_due)
    clock.at = MONDAY - timedelta(hours=1)
    await tick(ctx, by_default)
    clock.at = MONDAY + timedelta(hours=1)
    await tick(ctx, by_default)
    assert [action for action, _ in await actions(ctx)] == ["standup.posted"]
    await closed(ctx)


async def test_52_late_within_two_hours_then_a_recorded_skip(stage: Stage, ctx: Context, clock: Clock) -> None:
    clock.at = MONDAY + timedelta(hours=1, minutes=59)
    await tick(ctx, entry(ctx))
    clock.at = MONDAY + timedelta(days=1, hours=2, minutes=1)
    await tick(ctx, entry(ctx))
    await tick(ctx, entry(ctx))
    assert len(await posted(stage, ctx)) == 1
    monday, tuesday = (f"{MONDAY + timedelta(days=n):%Y-%m-%d}" for n in (0, 1))
    assert await actions(ctx) == [("standup.posted", monday), ("standup.skipped", tuesday)]
    assert (await ctx.store.find("audit"))[0]["details"]["kind"] == "late"


async def test_a_lost_answer_is_looked_for_and_not_posted_again(stage: Stage, ctx: Context, clock: Clock) -> None:
    await a_weekend(stage, ctx)
    stage.slack.fail("chat.postMessage", Fault("swallow"))
    with pytest.raises(RetryLater):
        await tick(ctx, entry(ctx))
    asked = len(stage.claude.requests)
    again = await opened_again(stage, ctx, clock)
    await tick(again, entry(again))
    assert len(await posted(stage, again)) == 1
    assert [action for action, _ in await actions(again)] == ["standup.posted"]
    assert len(stage.claude.requests) == asked == 1
    await closed(again)


async def test_slack_down_for_a_while(stage: Stage, ctx: Context, clock: Clock) -> None:
    await a_weekend(stage, ctx)
    stage.slack.fail("chat.postMessage", *[Fault("answer", status=503)] * 40)
    for _ in range(3):
        with pytest.raises(RetryLater):
            await tick(ctx, entry(ctx))
    stage.slack.mend()
    clock.at = MONDAY + timedelta(minutes=10)
    await tick(ctx, entry(ctx))
    assert len(await posted(stage, ctx)) == 1
    assert len(stage.claude.requests) == 1  # written once, however often it had to be offered


async def test_a_channel_without_the_bot_is_tried_until_the_grace_ends(stage: Stage, clock: Clock) -> None:
    stage.env["SLACK_CHANNEL_STANDUP"] = "C0NOWHERE"
    ctx = await opened(stage, clock)
    await a_weekend(stage, ctx)
    for minutes in (0, 1, 2):
        clock.at = MONDAY + timedelta(minutes=minutes)
        with pytest.raises(RetryLater, match="invite"):
            await tick(ctx, entry(ctx))
    clock.at = MONDAY + timedelta(hours=2, minutes=1)
    await tick(ctx, entry(ctx))
    assert [action for action, _ in await actions(ctx)] == ["standup.skipped"]
    assert "invite" in (await ctx.store.find("audit"))[0]["details"]["reason"]
    assert len(stage.claude.requests) == 1
    await closed(ctx)


@pytest.mark.parametrize("hours", [24, 26, 24 * 40])
async def test_51_a_clock_that_jumps_ahead_and_back(stage: Stage, ctx: Context, clock: Clock, hours: int) -> None:
    await tick(ctx, entry(ctx))
    clock.at = MONDAY + timedelta(hours=hours)
    await tick(ctx, entry(ctx))
    clock.at = MONDAY + timedelta(minutes=5)
    await tick(ctx, entry(ctx))
    clock.at = MONDAY + timedelta(days=1)
    await tick(ctx, entry(ctx))
    clock.at = MONDAY + timedelta(days=2)
    await tick(ctx, entry(ctx))
    found = [m.metadata["event_payload"]["id"] for m in await posted(stage, ctx)]
    assert len(found) == len(set(found))
    assert {f"{MONDAY + timedelta(days=n):%Y-%m-%d}" for n in (0, 1, 2)} <= set(found)


# Rules


@pytest.mark.parametrize(
    ("day", "days", "expected"),
    [
        ("2026-11-23", None, "2026-11-20"),
        ("2026-11-24", None, "2026-11-23"),
        ("2026-11-22", None, "2026-11-20"),
        ("2026-11-25", {0, 2, 4}, "2026-11-23"),
        ("2026-11-23", {0, 1, 2, 3, 4, 5, 6}, "2026-11-20"),
        ("2026-11-22", {6, 0, 1, 2, 3}, "2026-11-19"),
        ("2026-11-24", {1}, "2026-11-17"),
    ],
)
def test_the_last_working_day(day: str, days: set[int] | None, expected: str) -> None:
    assert last_working_day(date.fromisoformat(day), frozenset(days) if days else None).isoformat() == expected


words = st.text(st.characters(codec="utf-8"), min_size=1, max_size=300)
some_facts = st.builds(
    Fact, kind=st.sampled_from(["moved", "waits", "due", "draft"]),
    ref=st.from_regex(r"[A-Z]{3}-[0-9]{1,4}", fullmatch=True),
    url=st.sampled_from(["https://x.example/browse/ECD-1", "javascript:alert(1)", "https://x/" + "a" * 3000, ""]),
    project=st.sampled_from(["ECD", "SUP", *(f"P{n}" for n in range(60))]), person=words, text=words,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(some_facts, max_size=25), st.integers(0, 40), st.lists(words, max_size=30), words)
def test_any_standup_fits_into_one_message(found: list[Fact], times: int, sentences: list[str], note: str) -> None:
    every = tuple(found) * times
    facts = StandupFacts(
        now=MONDAY, since=FRIDAY, timezone="Europe/Berlin", facts=every,
        projects=tuple(sorted({f.project for f in every})), notes=(note * 10,),
    )  # fmt: skip
    refs = tuple(facts.refs)[:5]
    report = Report(
        facts, tuple(Sentence(text=s, refs=refs) for s in sentences) if refs else (), note * 20, (9, "0" * 64)
    )
    message = standup_message(report, day=MONDAY.date())
    assert size(message.blocks) <= MAX_MESSAGE
    assert 1 <= len(message.blocks) <= 50
    text = json.dumps(message.blocks)
    assert "javascript:" not in [p for p in text.split('"') if p.startswith("javascript:")]
    assert '"text": ""' not in text
    assert "0" * 64 in text


async def test_a_run_that_somebody_has_is_not_given_to_a_second_one(ctx: Context, clock: Clock) -> None:
    run = Run("standup", MONDAY.date(), MONDAY, missed=False)
    async with claim(ctx, run) as first:
        assert first is not None
        assert first.started == clock.now()
        clock.at += timedelta(minutes=4)
        async with claim(ctx, run) as second:
            assert second is None
        clock.at += timedelta(minutes=2)  # its lease is over
        async with claim(ctx, run) as third:
            assert third is not None
            assert third.started == first.started
            with pytest.raises(Conflict):
                await first.begin()  # who had it before may not post any more
    # Whoever had it has failed, and lets go of it.
    async with claim(ctx, run) as again:
        assert again is not None
        assert again.started == first.started
