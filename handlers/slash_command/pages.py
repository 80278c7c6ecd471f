"""What `/pmagent` answers, as messages: plain facts in, Block Kit out. Pure.

Everything that is not ours (summaries, reasons, names) stands in rich_text, and long lists end in "and N more".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from bot.cards.parts import (
    Block,
    Message,
    bullets,
    clock,
    context,
    in_quotes,
    issue_url,
    link,
    named,
    one_line,
    paragraph,
    text,
    whisper,
)
from bot.domain.draft_states import DraftState
from bot.domain.drafts import Draft
from bot.reports.by_prompt import sentences
from bot.safety.quoting import shortened

if TYPE_CHECKING:
    from bot.workflow import HealthLine, ModeSetting, WhyLine

MAX_ROWS = 20
STATES = {
    DraftState.WAITING: "waits for a decision",
    DraftState.HELD: "held: the issue changed",
    DraftState.FAILED: "could not be posted",
    DraftState.UNKNOWN: "it is not certain that it was posted",
}


def help_page(words: Iterable[tuple[str, str]], *, unknown: str = "", nearest: str | None = None) -> Message:
    """All words, each with its usage and what it does; for an unknown one with what was probably meant."""
    head: list[Block] = []
    if unknown:
        guess: list[str | Block] = [" Did you mean ", text(f"/pmagent {nearest}", code=True), "?"] if nearest else []
        head.append(paragraph(f"/pmagent does not know {in_quotes(unknown, 60)}.", *guess))
    rows = [(text(usage, code=True), f"  {does}") for usage, does in words]
    return _answer(*head, bullets(rows))


def stats_page(figures: Mapping[str, Any], days: float | None) -> Message:
    """The figures of `bot.reports.metrics`, as sentences."""
    period = "Since the beginning" if days is None else f"The last {days:g} {'day' if days == 1 else 'days'}"
    drafts: Mapping[str, int] = figures.get("drafts") or {}
    states = ", ".join(f"{count} {state}" for state, count in sorted(drafts.items()) if count) or "none"
    rows: list[Sequence[str | Block]] = [
        (_number(figures, "events"), " events taken in (", _number(figures, "duplicates"), " duplicates, ",
         _number(figures, "ignored"), " ignored)"),
        (_number(figures, "silences"), " left unanswered with a reason, ", _number(figures, "failures"), " failed"),
        ("Drafts: ", text(states, bold=True)),
        (_number(figures, "posted"), " posted, ", _number(figures, "edited"), " of the drafts edited, ",
         _number(figures, "skipped"), " skipped, ", _number(figures, "undone"), " undone"),
        (_number(figures, "claude_calls"), f" calls of Claude for {float(figures.get('cost_usd') or 0):.2f} USD"),
    ]  # fmt: skip
    found: Sequence[Mapping[str, Any]] = figures.get("by_prompt") or ()
    versions = [_version(row) for row in found[:MAX_ROWS]]
    head = paragraph(text(period, bold=True), f", mode {figures.get('mode', 'unknown')}")
    more = [paragraph(text("By project and prompt version", bold=True)), bullets(versions)] if versions else []
    return _answer(head, bullets(rows), *more, *_more(len(found)))


def _version(row: Mapping[str, Any]) -> Sequence[str | Block]:
    became, took = sentences(row)
    return (text(str(row["project"]), bold=True), " ", text(str(row["prompt"]), code=True), f"  {became}; {took}")


def mode_page(setting: ModeSetting, now: datetime, timezone: ZoneInfo) -> Message:
    """The mode, what it means, who set it and when."""
    when = f" {clock(setting.at, now, timezone)}" if setting.at else ""
    means = "approved replies are posted to Jira" if setting.mode == "production" else "Jira is not written to"
    return _answer(
        paragraph("The mode is ", text(setting.mode, bold=True), f": {means}. Set by {named(setting.by)}{when}.")
    )


def pending_page(
    drafts: Sequence[Draft], count: int, *, site: str, team_url: str, now: datetime, timezone: ZoneInfo
) -> Message:
    """The drafts that wait, oldest first, each with its card. `count`: how many there are."""
    if not drafts:
        return whisper("No draft waits for a decision.")
    rows = []
    for draft in drafts[:MAX_ROWS]:
        state = STATES.get(draft.state, str(draft.state))
        row: list[str | Block] = [
            link(issue_url(site, draft.issue.key), draft.issue.key),
            f"  {in_quotes(draft.issue.summary, 100)} · {state} · drafted {clock(draft.created, now, timezone)}",
        ]
        if draft.card.ts and team_url:
            address = f"{team_url.rstrip('/')}/archives/{draft.card.channel}/p{draft.card.ts.replace('.', '')}"
            row += [" · ", link(address, "card")]
        rows.append(row)
    head = "One draft waits" if count == 1 else f"{count} drafts wait"
    return _answer(paragraph(text(f"{head} for a decision", bold=True)), bullets(rows), *_more(count))


def why_page(
    key: str,
    lines: Sequence[WhyLine],
    *,
    site: str,
    now: datetime,
    timezone: ZoneInfo,
) -> Message:
    """What became of an issue's events, newest first."""
    if not lines:
        return whisper(f"No event of {key} has come in. Is its project in the webhook's filter?")
    rows = [
        (
            text(clock(line.at, now, timezone), bold=True),
            f"  {line.event.replace('_', ' ')}: {line.outcome}",
            f". {one_line(line.reason, 200)}" if line.reason else "",
            f" (reply {line.draft_id[-6:]})" if line.draft_id else "",
        )
        for line in lines[:MAX_ROWS]
    ]
    head = paragraph(text("What became of the events of ", bold=True), link(issue_url(site, key), key, bold=True))
    return _answer(head, bullets(rows), *_more(len(lines)))


def health_page(lines: Sequence[HealthLine]) -> Message:
    """Each part of the program: well or not, and a sentence."""
    rows = [
        (text(f"{'✓' if line.ok else '⚠'} {one_line(line.name, 40)}", bold=True), f"  {shortened(line.text, 250)}")
        for line in lines[:MAX_ROWS]
    ]
    well = all(line.ok for line in lines)
    return _answer(
        paragraph(text("Everything is well" if well else "Something needs a look", bold=True)), bullets(rows)
    )


def stamp(at: datetime, timezone: ZoneInfo) -> str:
    """`20 Nov 10:42 CET`."""
    local = at.astimezone(timezone)
    return f"{local.day} {local:%b %H:%M} {local.tzname()}"


def _answer(*blocks: Block) -> Message:
    return Message(list(blocks), "PM Agent answered you privately.")


def _number(figures: Mapping[str, Any], name: str) -> Block:
    return text(f"{figures.get(name) or 0}", bold=True)


def _more(count: int) -> list[Block]:
    return [context(f"and {count - MAX_ROWS} more")] if count > MAX_ROWS else []
