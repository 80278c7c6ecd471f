"""How the last runs of reconciling went, in sentences for `/pmagent health`."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from bot.workflow.reconciling.bitbucket import last_run
from bot.workflow.reconciling.jira import last_checkpoint

if TYPE_CHECKING:
    from bot.context import Context

HealthSentence = tuple[str, bool, str]
"""Name of the part, whether it is well, what there is to say."""


async def reconciled(ctx: Context) -> list[HealthSentence]:
    """When Jira, and with a token Bitbucket, were last asked for what no webhook told; or why they were not."""
    lines = []
    checkpoint = await last_checkpoint(ctx)
    if checkpoint is not None:
        missed = checkpoint.done_counts.get("found", 0) + checkpoint.done_counts.get("late", 0)
        unreadable = checkpoint.done_counts.get("unreadable", 0)
        trouble = checkpoint.trouble or (
            f"{unreadable} issue{'s' if unreadable > 1 else ''} could not be read" if unreadable else ""
        )
        lines.append(_line(ctx, "reconcile", "Jira", checkpoint.done, missed, trouble))
    if ctx.bitbucket.configured:
        run = await last_run(ctx)
        done = datetime.fromisoformat(run["done"]) if run["done"] else None
        lines.append(_line(ctx, "pull requests", "Bitbucket", done, run["found"], run["trouble"]))
    return lines


def _line(ctx: Context, name: str, whom: str, done: datetime | None, missed: int, trouble: str) -> HealthSentence:
    text = f"{whom} was not asked yet for what was missed"
    if done is not None:
        local = done.astimezone(ctx.settings.timezone)
        text = f"{whom} last asked {local:%Y-%m-%d %H:%M}, {missed or 'nothing'} had been missed"
    return name, not trouble, f"{text}; {trouble}" if trouble else text
