"""What `python -m bot check` says: one line for each thing that was tried, and what a failed call means for it.

Only a definite answer about a thing is a reason to change that thing. While a service is merely away (unreachable, too
busy, failing, or a gateway answers in its place) the settings may all be good: the line says to try again.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bot.errors import Down, Permanent, PMAgentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.settings import Problem, Settings

State = Literal["ok", "warn", "later", "wrong"]
LABELS: dict[State, str] = {"ok": "ok", "warn": "warn", "later": "LATER", "wrong": "WRONG"}
TRY_AGAIN = "try again in a minute: nothing is known to be wrong with the settings"


@dataclass(frozen=True)
class CheckLine:
    """One thing that was tried. `mend`: what to do about it, for a line that is not ok.

    `state`: ok; warn, which keeps nothing from working; later, which could not be tried now; wrong.
    """

    name: str
    state: State
    text: str
    mend: str = ""

    @property
    def ok(self) -> bool:
        """Whether the program can work with it."""
        return self.state in ("ok", "warn")


def good(name: str, text: str) -> CheckLine:
    """It was tried and works."""
    return CheckLine(name, "ok", text)


def warn(name: str, text: str, mend: str = "") -> CheckLine:
    """It keeps nothing from working, and may not be what was meant."""
    return CheckLine(name, "warn", text, mend)


def later(name: str, text: str, mend: str = TRY_AGAIN) -> CheckLine:
    """Nothing is known about it now."""
    return CheckLine(name, "later", text, mend)


def wrong(name: str, text: str, mend: str) -> CheckLine:
    """It does not work, and will not until a person has done what `mend` says."""
    return CheckLine(name, "wrong", text, mend)


def doubtful(doubts: Sequence[Problem]) -> list[CheckLine]:
    """The settings that the program starts with and has a doubt about."""
    return [warn(doubt.variable, doubt.what, doubt.mend) for doubt in doubts]


def failed(name: str, error: PMAgentError, mend: str, *, address: str = "") -> CheckLine:
    """A line about a call that failed: `mend` is for a definite refusal, an outage passes.

    `address`: the settings by which the service is found, where somebody may have set them wrong.
    """
    reason = getattr(error, "reason", None) or str(error)
    if refused(error):
        return wrong(name, reason, mend)
    stays = f"; if it stays so, see whether {address} is right and can be reached from here" if address else ""
    return later(name, reason, TRY_AGAIN + stays)


def given(settings: Settings, field: str) -> str:
    """The variable of an address, where somebody has set it."""
    return field.upper() if field in settings.model_fields_set else ""


def refused(error: PMAgentError) -> bool:
    """Whether the service itself said no, and will until a person changes something."""
    from bot.clients.claude.errors import ClaudeDown

    if isinstance(error, ClaudeDown):
        return error.kind not in ("overloaded", "unreachable", "timeout", "server")
    # Jira and Bitbucket: credentials that are not accepted are an outage to the program, which waits for their mending.
    return isinstance(error, Permanent) or (isinstance(error, Down) and error.status == 401)


def show(lines: Sequence[CheckLine], *, as_json: bool) -> None:
    """Print the lines, for a person or for a program."""
    if as_json:
        checks = [{"name": x.name, "ok": x.ok, "state": x.state, "text": x.text, "mend": x.mend} for x in lines]
        print(json.dumps({"ok": all(line.ok for line in lines), "checks": checks}, indent=2))
        return
    width = max(len(line.name) for line in lines)
    for line in lines:
        mend = f" → {line.mend}" if line.mend and line.state != "ok" else ""
        print(f"{LABELS[line.state]:<5}  {line.name:<{width}}  {line.text}{mend}")
    counts = Counter(line.state for line in lines)
    told = [f"{counts['wrong']} wrong"] if counts["wrong"] else []
    told += [f"{counts['later']} to be tried later"] if counts["later"] else []
    if told:  # not a line about anything, so it is not among them
        print(f"\n{len(lines)} lines: {' and '.join(told)}.", file=sys.stderr)
