"""The app's home tab: the mode, what waits, a few figures. Who may see which of it is the caller's to decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from bot.cards.parts import (
    DIVIDER,
    Block,
    bullets,
    clock,
    context,
    heading,
    in_quotes,
    issue_url,
    key_of,
    link,
    named,
    paragraph,
    text,
)
from bot.domain.drafts import Draft, Mode

MAX_ROWS = 20


def home_view(
    *,
    mode: Mode,
    by: str,
    paused: str | None,
    pending: Sequence[Draft] | None,
    count: int,
    figures: Mapping[str, Any] | None,
    site: str,
    now: datetime,
    timezone: ZoneInfo,
) -> dict[str, Any]:
    """The view for `views.publish`. `pending`, `figures` None: this person may not see them.

    `count`: how many drafts wait, of which `pending` has the oldest. `paused`: until when.
    """
    means = "approved replies are posted to Jira" if mode == "production" else "Jira is not written to"
    blocks: list[Block] = [
        heading("PM Agent"),
        paragraph(text(f"The mode is {mode}", bold=True), f": {means}. Set by {named(by)}."),
    ]
    if paused:
        blocks.append(paragraph(text("Drafting is paused", bold=True), f" {paused}. Deliveries are still taken in."))
    if pending is not None:
        blocks += [DIVIDER, paragraph(text(_waiting(count), bold=True))]
        if pending:
            blocks.append(bullets([_row(draft, site, now, timezone) for draft in pending[:MAX_ROWS]]))
    if figures is not None:
        blocks += [DIVIDER, paragraph(text("The last 7 days", bold=True)), bullets(_figures(figures))]
    blocks += [DIVIDER, context("/pmagent help shows what can be asked; the drafts are in the approvals channel.")]
    return {"type": "home", "blocks": blocks}


def _waiting(count: int) -> str:
    return {0: "No draft waits for a decision", 1: "One draft waits for a decision"}.get(
        count, f"{count} drafts wait for a decision"
    )


def _row(draft: Draft, site: str, now: datetime, timezone: ZoneInfo) -> list[str | Block]:
    key = draft.issue.key
    return [
        link(issue_url(site, key), key_of(key)),
        f"  {in_quotes(draft.issue.summary, 120)} · {draft.state}, drafted {clock(draft.created, now, timezone)}",
    ]


def _figures(figures: Mapping[str, Any]) -> list[str]:
    drafts = sum((figures.get("drafts") or {}).values())
    return [
        f"{figures.get('events', 0)} events, {drafts} drafts, {figures.get('silences', 0)} silences with a reason",
        f"{figures.get('posted', 0)} posted, {figures.get('edited', 0)} edited, {figures.get('skipped', 0)} skipped",
        f"{figures.get('cost_usd', 0):.2f} USD for {figures.get('claude_calls', 0)} calls of Claude",
    ]
