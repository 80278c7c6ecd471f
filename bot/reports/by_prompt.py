"""What became of the drafts of each project and prompt version, from the records of `rollup`. Pure.

It tells whether a change of the prompts helped. A draft counts under the version that wrote it, in each column once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from bot.store import Record
from bot.store.rollup import median, spread

REASONS = {
    "not_needed": "not needed", "wrong": "wrong", "too_late": "too late", "answers_oneself": "answered by hand",
    "other": "for another reason",
}  # fmt: skip
"""Those of `bot.domain.corrections.SKIP_REASONS`, without loading pydantic for a command that prints figures."""


def by_prompt(counted: Iterable[Record]) -> list[dict[str, Any]]:
    """One object for each project and prompt version, projects in order, newest version first.

    `words_changed` is the mean of an edit, `seconds_to_decision` a median; None where there is nothing to measure.
    `cost_usd` is what its drafts cost, triage included.
    """
    groups: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in counted:
        if record["prompt"]:
            groups[record["project"], record["prompt"]].append(record)
    newest_first = sorted(groups.items(), key=lambda group: min(r["at"] for r in group[1]), reverse=True)
    return [_row(*group) for group in sorted(newest_first, key=lambda group: group[0][0])]


def _row(key: tuple[str, str], records: list[Record]) -> dict[str, Any]:
    def of(name: str, part: str | None = None) -> list[Record]:
        found = [r for r in records if r["action"] == f"draft.{name}"]
        return [r for r in found if part is None or r.get("part", "") == part]

    def drafts(name: str, part: str | None = None) -> int:
        return sum(record["drafts"] for record in of(name, part))

    edits = sum(r["count"] for r in of("edited"))
    posted, cost = drafts("posted"), round(sum(record["usd"] for record in records), 6)
    reasons = {record["part"]: record["count"] for record in of("skip_reason")}
    return {
        "project": key[0], "prompt": key[1], "drafts": sum(record["count"] for record in of("created")),
        "approved_as_drafted": drafts("approved", ""), "edited": drafts("edited"),
        "words_changed": round(sum(r.get("words", 0) for r in of("edited")) / edits, 1) if edits else None,
        "skipped": drafts("skipped"), "skip_reasons": reasons, "undone": drafts("undone"), "posted": posted,
        "seconds_to_decision": median(spread(r for r in records if r["action"] != "draft.created")),
        "cost_usd": cost, "cost_per_posted_usd": round(cost / posted, 4) if posted else None,
    }  # fmt: skip


def sentences(row: Mapping[str, Any]) -> tuple[str, str]:
    """The figures in words: what became of the drafts, and what it took."""
    as_drafted, edited, skipped = (row[name] for name in ("approved_as_drafted", "edited", "skipped"))
    became = [f"{as_drafted} approved as drafted", f"{edited} edited", f"{skipped} skipped"]
    if edited:
        words = row["words_changed"]
        became[1] += f" ({words:.0f} word{'' if round(words) == 1 else 's'} each)"
    if skipped:
        told = [f"{count} {REASONS[name]}" for name, count in row["skip_reasons"].items()]
        silent = skipped - sum(row["skip_reasons"].values())
        became[2] += f" ({', '.join([*told, *([f'{silent} without a reason'] if silent > 0 else [])])})"
    if row["undone"]:
        became.append(f"{row['undone']} undone")
    took = []
    if row["seconds_to_decision"] is not None:
        took.append(f"decided in {span(row['seconds_to_decision'])}")
    took.append(f"{row['cost_usd']:.2f} USD")
    if row["cost_per_posted_usd"] is not None:
        took[-1] += f" ({row['cost_per_posted_usd']:.3f} for each posted reply)"
    return f"{row['drafts']} draft{'' if row['drafts'] == 1 else 's'}: {', '.join(became)}", "; ".join(took)


def span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
