"""A small JQL: enough for searches by project, person, status, time, due date and sprint; strict about the rest.

`compile_jql(text)` gives a predicate over `JiraIssue` or raises `JqlError` with Jira's own kind of sentence. As Jira's
`/search/jql` does, it refuses a query without any restriction.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bot.demo.jira.world import JiraIssue

Test = Callable[[JiraIssue], bool]

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<op>>=|<=|!=|!~|[=<>~(),])|(?P<word>[^\s=<>!~(),"']+))"""
)
_PROFILE = ZoneInfo("Europe/Berlin")
"""The time zone in the profile of whoever asks (`world.Account`): what a time without its zone is read in."""
_UNITS = {"w": timedelta(weeks=1), "d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}
_TIMES = ("updated", "created", "due", "duedate", "statuscategorychangeddate", "resolved")
_FIELDS: dict[str, Callable[[JiraIssue], Any]] = {
    "project": lambda i: (i.project.key, i.project.name, i.project.id),
    "key": lambda i: (i.key,),
    "issuekey": lambda i: (i.key,),
    "issue": lambda i: (i.key,),
    "status": lambda i: (i.status,),
    "statuscategory": lambda i: ({"new": "To Do", "indeterminate": "In Progress", "done": "Done"}[i.category],),
    "assignee": lambda i: (i.assignee.account_id, i.assignee.name) if i.assignee else (),
    "reporter": lambda i: (i.reporter.account_id, i.reporter.name),
    "priority": lambda i: (i.priority,),
    "issuetype": lambda i: (i.issue_type,),
    "type": lambda i: (i.issue_type,),
    "labels": lambda i: tuple(i.labels),
    "level": lambda i: (i.security,) if i.security else (),
    "resolution": lambda i: (i.resolution or "Done",) if i.resolution or i.category == "done" else (),
    "sprint": lambda i: (*(s["name"] for s in i.sprints), *(("openSprints()",) if i.category != "new" else ())),
    "parent": lambda i: (i.parent.key,) if i.parent else (),
    "fixversion": lambda i: tuple(version["name"] for version in i.fix_versions),
    "component": lambda i: tuple(i.components),
    "summary": lambda i: (i.summary,),
    "text": lambda i: (i.summary, i.description),
    "updated": lambda i: i.updated,
    "created": lambda i: i.created,
    "resolved": lambda i: i.updated if i.category == "done" else None,
    "statuscategorychangeddate": lambda i: i.updated,
    "due": lambda i: _midnight(i.due),
    "duedate": lambda i: _midnight(i.due),
}


class JqlError(ValueError):
    """What Jira answers in `errorMessages`."""


def compile_jql(
    text: str,
    *,
    now: datetime,
    own_account: str,
    projects: Collection[str] | None = None,
    keys: Collection[str] | None = None,
) -> Callable[[list[JiraIssue]], list[JiraIssue]]:
    """A function that filters and orders issues. Relative times count from `now`; `own_account` is `currentUser()`.

    `projects`, `keys` (of issues): those that there are, where naming another is to be refused as Jira refuses it.
    """
    parts = re.split(r"\border\s+by\b", text, maxsplit=1, flags=re.IGNORECASE)
    if not parts[0].strip():
        raise JqlError("Unbounded JQL queries are not allowed here. Please add a search restriction to your query.")
    test = _Parser(parts[0], now, own_account, projects, keys).whole()
    order = parts[1] if len(parts) > 1 else ""
    return lambda issues: _ordered([issue for issue in issues if test(issue)], order)


class _Parser:
    def __init__(
        self, text: str, now: datetime, own_account: str, projects: Collection[str] | None, keys: Collection[str] | None
    ) -> None:
        self._there = {"project": projects, "key": keys, "issuekey": keys, "issue": keys, "parent": keys}
        self._now = now
        self._own = own_account
        self._tokens: list[str] = []
        position = 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if not match:
                raise JqlError(f"Error in the JQL Query: unexpected text at {position}.")
            self._tokens.append(match[0].strip())
            position = match.end()

    def whole(self) -> Test:
        test = self._or()
        if self._tokens:
            raise JqlError(f"Error in the JQL Query: expecting an operator but got '{self._tokens[0]}'.")
        return test

    def _peek(self) -> str:
        return self._tokens[0].lower() if self._tokens else ""

    def _take(self, expected: str = "") -> str:
        if not self._tokens or (expected and self._peek() != expected):
            raise JqlError(f"Error in the JQL Query: expecting '{expected or 'a value'}'.")
        return self._tokens.pop(0)

    def _or(self) -> Test:
        tests = [self._and()]
        while self._peek() == "or":
            self._take()
            tests.append(self._and())
        return lambda issue: any(test(issue) for test in tests)

    def _and(self) -> Test:
        tests = [self._not()]
        while self._peek() == "and":
            self._take()
            tests.append(self._not())
        return lambda issue: all(test(issue) for test in tests)

    def _not(self) -> Test:
        if self._peek() == "not":
            self._take()
            test = self._not()
            return lambda issue: not test(issue)
        if self._peek() == "(":
            self._take()
            test = self._or()
            self._take(")")
            return test
        return self._clause()

    def _clause(self) -> Test:
        name = self._take().strip("\"'")
        read = _FIELDS.get(name.lower())
        if read is None:
            raise JqlError(f"Field '{name}' does not exist or you do not have permission to view it.")
        negated = False
        operator = self._take().lower()
        if operator == "not":
            negated, operator = True, self._take("in").lower()
        if operator == "is":
            if self._peek() == "not":
                negated = bool(self._take())
            if self._take().lower() not in ("empty", "null"):
                raise JqlError("Error in the JQL Query: 'is' goes with EMPTY.")
            return lambda issue: bool(read(issue)) == negated
        if name.lower() in _TIMES:
            return self._time(read, operator)
        return self._words(name, read, operator, negated)

    def _words(self, name: str, read: Callable[[JiraIssue], Any], operator: str, negated: bool) -> Test:
        if operator in ("=", "!="):
            values, negated = [self._value()], operator == "!="
        elif operator == "in":
            values = self._several()
        elif operator in ("~", "!~"):
            part, negated = self._value().lower(), operator == "!~"
            return lambda issue: any(part in str(v).lower() for v in read(issue)) != negated
        else:
            raise JqlError(f"The operator '{operator}' is not supported by this field.")
        there = self._there.get(name.lower())
        for value in values if there is not None else ():
            if value not in (there or ()):
                what = "The value" if name.lower() == "project" else "An issue with key"
                raise JqlError(f"{what} '{value}' does not exist for the field '{name}'.")
        wanted = {value.lower() for value in values}
        return lambda issue: bool(wanted & {str(v).lower() for v in read(issue)}) != negated

    def _several(self) -> list[str]:
        if self._peek().endswith("sprints"):
            return [self._value()]
        self._take("(")
        values = [self._value()]
        while self._peek() == ",":
            self._take()
            values.append(self._value())
        self._take(")")
        return values

    def _value(self) -> str:
        token = self._take()
        if token[0] in "\"'":
            return re.sub(r"\\(.)", r"\1", token[1:-1])
        if self._peek() == "(":
            self._take()
            argument = "" if self._peek() == ")" else self._value()
            self._take(")")
            return self._own if token.lower() == "currentuser" else f"{token}({argument})"
        return token

    def _time(self, read: Callable[[JiraIssue], Any], operator: str) -> Test:
        limit = self._moment(self._value())
        comparisons: dict[str, Callable[[datetime], bool]] = {
            ">=": lambda at: at >= limit,
            ">": lambda at: at > limit,
            "<=": lambda at: at <= limit,
            "<": lambda at: at < limit,
            "=": lambda at: at.date() == limit.date(),
            "!=": lambda at: at.date() != limit.date(),
        }
        if operator not in comparisons:
            raise JqlError(f"The operator '{operator}' is not supported by this field.")
        compare = comparisons[operator]
        return lambda issue: (at := read(issue)) is not None and compare(at)

    def _moment(self, text: str) -> datetime:
        today = datetime.combine(self._now.date(), time(), UTC)
        if function := re.fullmatch(r"(now|startofday|endofday)\((.*)\)", text.lower()):
            base = {"now": self._now, "startofday": today, "endofday": today + timedelta(days=1, microseconds=-1)}
            return base[function[1]] + (_duration(function[2]) if function[2] else timedelta())
        if re.fullmatch(r"[+-]?\d+[wdhm](\s+\d+[wdhm])*", text):
            # Searches count in whole minutes; rounded to the side on which less is found.
            return (self._now + _duration(text) + timedelta(minutes=1, microseconds=-1)).replace(
                second=0, microsecond=0
            )
        for form in ("%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M", "%Y-%m-%d", "%Y/%m/%d"):
            try:
                return datetime.strptime(text, form).replace(tzinfo=_PROFILE)
            except ValueError:
                continue
        raise JqlError(
            f"Date value '{text}' is invalid. Valid formats include: 'yyyy/MM/dd HH:mm', 'yyyy-MM-dd HH:mm', "
            "'yyyy/MM/dd', 'yyyy-MM-dd', or a period format e.g. '-5d', '4w 2d'."
        )


def _duration(text: str) -> timedelta:
    text = text.strip("\"'")
    sign = -1 if text.startswith("-") else 1
    parts = re.findall(r"(\d+)([wdhm])", text)
    if not parts:
        raise JqlError(f"'{text}' is not a period such as -5d.")
    return sign * sum((int(n) * _UNITS[unit] for n, unit in parts), timedelta())


def _midnight(day: str | None) -> datetime | None:
    return datetime.combine(date.fromisoformat(day), time(), UTC) if day else None


def _ordered(issues: list[JiraIssue], order: str) -> list[JiraIssue]:
    for part in reversed([p.split() for p in order.split(",") if p.strip()]):
        read = _FIELDS.get(part[0].lower())
        if read is None:
            raise JqlError(f"Not able to sort using field '{part[0]}'.")
        issues = sorted(issues, key=lambda i: str(read(i)), reverse=part[-1].lower() == "desc")
    return issues
