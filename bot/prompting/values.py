"""How single values stand in the data for Claude: people, days, times, statuses, states. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from bot.domain.issues import Change, Person, Sprint, Version
from bot.prompting.untrusted import cut_middle
from bot.rules.identity import LookAlike

LINE_LIMIT = 300
NAME_LIMIT = 100
SHORT_LIMIT = 60

CATEGORIES = {"new": "not started", "indeterminate": "started, not finished", "done": "finished"}
"""Jira's three categories of statuses, whose keys are no words that anybody uses."""
_BUILDS = {"SUCCESSFUL": "passed", "FAILED": "failed", "INPROGRESS": "running", "STOPPED": "stopped"}
_KINDS = {"customer": "customer", "app": "bot"}
_PEOPLE = frozenset({"assignee", "reporter", "creator"})


def line(text: str) -> str:
    return cut_middle(text, NAME_LIMIT)


def short(text: str) -> str:
    return cut_middle(text, SHORT_LIMIT)


def day(on: date) -> str:
    return f"{on.isoformat()} ({on:%A})"


def time(at: datetime | None, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}" if at else ""


def person(who: Person | None, alike: Mapping[Person, LookAlike]) -> dict[str, str] | None:
    """Somebody, and whether it is another account than that of the person whose name it bears."""
    if who is None:
        return None
    found = {"name": line(who.name), "id": who.account_id}
    if who.kind in _KINDS:
        found["kind"] = _KINDS[who.kind]
    if who in alike:
        known = alike[who].known
        found["not_the_same_account_as"] = f"{line(known.person.name)}, who {known.role}"
    return found


def version(one: Version) -> str:
    if one.released:
        return f"{line(one.name)} (released{f' on {day(one.on)}' if one.on else ''})"
    return f"{line(one.name)} (not released, {f'planned for {day(one.on)}' if one.on else 'no date'})"


def sprint(one: Sprint) -> str:
    ends = f", {'ended' if one.state == 'closed' else 'ends'} {day(one.end)}" if one.end else ""
    return f"{line(one.name)} ({short(one.state)}{ends})"


def changed(change: Change, value: str) -> str:
    """One side of a change; nothing is said in words."""
    if value:
        return cut_middle(value, LINE_LIMIT)
    return "nobody" if change.field.casefold() in _PEOPLE else "none"


def state(name: str, draft: bool = False) -> str:
    """A pull request's state."""
    return f"{short(name.lower())}{' (draft)' if draft else ''}"


def build(name: str) -> str:
    return _BUILDS.get(name, short(name.lower()))


def without_empty(found: dict[str, Any]) -> dict[str, Any]:
    """Without what is empty."""
    return {name: value for name, value in found.items() if value not in ("", None, [], {})}
