"""What the terminal shows of a run: a line for each situation that did not pass, a table, and what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.evals.running import SituationOutcome
from bot.evals.scoring import Fault
from bot.evals.situation import CATEGORIES

LEAST = 0.9
"""The share of situations that has to pass."""


@dataclass(frozen=True)
class Scored:
    """An outcome with its faults."""

    outcome: SituationOutcome
    faults: tuple[Fault, ...]

    @property
    def passed(self) -> bool:
        return not self.faults


@dataclass(frozen=True)
class EvalRun:
    """Every situation under one folder of prompts. `name`: the folder's, for people."""

    name: str
    results: tuple[Scored, ...]

    @property
    def passed(self) -> int:
        return sum(result.passed for result in self.results)

    @property
    def share(self) -> float:
        return self.passed / len(self.results) if self.results else 0.0

    @property
    def cost(self) -> float:
        return sum(result.outcome.cost for result in self.results)

    @property
    def seconds(self) -> float:
        return sum(result.outcome.seconds for result in self.results)

    def of(self, category: str) -> list[Scored]:
        return [result for result in self.results if result.outcome.situation.category == category]


def flipped(before: EvalRun, after: EvalRun) -> list[tuple[Scored, Scored]]:
    """The situations that passed under one folder of prompts and not under the other."""
    pairs = zip(before.results, after.results, strict=True)
    return [(one, other) for one, other in pairs if one.passed != other.passed]


def table(runs: Sequence[EvalRun]) -> str:
    """The report, one column for each run."""
    lines: list[str] = []
    for run in runs:
        for result in run.results:
            if result.faults:
                where = f" ({run.name})" if len(runs) > 1 else ""
                lines.append(f"✗ {result.outcome.situation.id}{where}: {result.outcome.situation.what}")
                lines += [f"    {fault.check}: {fault.what}" for fault in result.faults]
    if lines:
        lines.append("")
    wide = max(12, *(len(run.name) for run in runs))
    lines.append(f"{'':22}" + "".join(f"{run.name:>{wide + 2}}" for run in runs))
    for category in CATEGORIES:
        if any(run.of(category) for run in runs):
            counts = (f"{sum(r.passed for r in run.of(category))} of {len(run.of(category))}" for run in runs)
            lines.append(f"{category.replace('_', ' '):22}" + "".join(f"{count:>{wide + 2}}" for count in counts))
    lines.append(f"{'all':22}" + "".join(f"{f'{run.passed} of {len(run.results)}':>{wide + 2}}" for run in runs))
    lines.append(f"{'cost':22}" + "".join(f"{f'${run.cost:.3f}':>{wide + 2}}" for run in runs))
    lines.append(f"{'seconds with the model':22}" + "".join(f"{run.seconds:>{wide + 2}.1f}" for run in runs))
    if len(runs) == 2:
        lines += ["", "What flipped:"]
        pairs = flipped(*runs)
        lines += [f"  {'✓ → ✗' if one.passed else '✗ → ✓'}  {one.outcome.situation.id}" for one, _ in pairs] or [
            "  nothing"
        ]
    return "\n".join(lines)
