"""Arguments of `/pmagent`: issue and project keys, durations and numbers of days, read from what was typed. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

from bot.errors import UserError

MAX_PAUSE = timedelta(days=90)
MAX_DAYS = 3650.0


def read_key(text: str, watches: Callable[[str], bool]) -> str:
    """The issue key in `text` (`ECD-142`, in any case, or the issue's address). Raises `UserError` for any other."""
    address = re.search(r"/browse/([^/?#|>\s]+)", text)
    key = (address[1] if address else text.strip("<>.,;:")).upper()
    if not re.fullmatch(r"[A-Z][A-Z0-9_]{1,79}-[1-9][0-9]{0,14}", key):
        raise UserError(f"“{text[:60]}” is not an issue key such as ECD-142.")
    project = key.rpartition("-")[0]
    if not watches(project):
        raise UserError(f"{key} is in project {project}, which this bot does not look after (JIRA_PROJECTS).")
    return key


def read_project(text: str, watches: Callable[[str], bool]) -> str:
    """The project's key in `text`. Raises `UserError` for any other."""
    project = text.upper()
    if not re.fullmatch(r"[A-Z][A-Z0-9_]{1,79}", project):
        raise UserError(f"“{text[:60]}” is not a project's key such as ECD.")
    if not watches(project):
        raise UserError(f"This bot does not look after project {project} (JIRA_PROJECTS).")
    return project


def read_duration(text: str) -> timedelta:
    """`30m`, `2h`, `1d`, `1h30m`, at most 90 days. Raises `UserError` for any other."""
    match = re.fullmatch(r"(?=.)(?:(\d{1,4})d)?(?:(\d{1,4})h)?(?:(\d{1,5})m(?:in)?)?", text.lower(), re.ASCII)
    if not match:
        raise UserError(f"“{text[:60]}” is not a duration such as 30m, 2h or 1d.")
    days, hours, minutes = (int(part or 0) for part in match.groups())
    found = timedelta(days=days, hours=hours, minutes=minutes)
    if not timedelta(0) < found <= MAX_PAUSE:
        raise UserError("A pause lasts from one minute to 90 days. Without a duration it lasts until /pmagent resume.")
    return found


def read_days(text: str) -> float:
    """A number of days, above 0. Raises `UserError` for any other."""
    if not re.fullmatch(r"\d{1,4}(\.\d{1,3})?", text, re.ASCII) or not 0 < float(text) <= MAX_DAYS:
        raise UserError(f"“{text[:60]}” is not a number of days, such as 7.")
    return float(text)
