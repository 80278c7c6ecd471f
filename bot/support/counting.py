"""How many there are of what the data lists: sub-tasks by status, comments by author, approvals that are missing. Pure.

"Three of the six sub-tasks are done" is written nowhere in the data, and everybody counts so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

_HOW_FAR = ("status", "status_means", "state")
_BY = (*_HOW_FAR, "assignee", "author", "by", "relation", "type")
_NOUNS = {
    "children": r"sub-?tasks?|children|(?:Unter|Teil)aufgaben?|sous-tâches?|sub-?tareas?|subtarefas?|podzada(?:ń|nia)",
    "pull_requests": r"pull[- ]?requests?|PRs",
    "linked_issues": r"linked issues?|verknüpften? (?:Issues?|Vorgänge)|tickets? liés?|incidencias vinculadas",
    "comments": r"comments?|Kommentaren?|commentaires?|comentarios?",
    "builds": r"builds?",
    "approvals": r"approvals?|reviewers?|Zustimmungen|Freigaben|approbations?|aprobaciones",
}
_BETWEEN = r"(?:\s(?:of|the|these|von|den|der|des|de|las|los|les|other|more)){0,3}(?:\s\w+)?\s"
COUNTED = re.compile(
    _BETWEEN + "(?:" + "|".join(f"(?P<{name}>{words})" for name, words in _NOUNS.items()) + r")(?!\w)", re.IGNORECASE
)
"""What follows a number that counts something of the data: in "three of the six sub-tasks" two times sub-tasks."""


def counts_in(item: dict[str, Any]) -> Iterator[int]:
    """How many people were asked and have not approved, and how many children are of one status or category."""
    yield from _both(_reviews(item))
    for of in _children(item):
        yield from _both(of)


def counts_of(items: list[dict[str, Any]]) -> Iterator[int]:
    """How many of them are alike in a field, or in who has them and how far they are; and how many are not."""
    for field in _BY:
        yield from _both(Counter(str(item[field]) for item in items if field in item))
    for field in _HOW_FAR:
        having = [item for item in items if field in item and "assignee" in item]
        yield from _both(Counter(f"{item['assignee']}, {item[field]}" for item in having))


def shares_in(item: dict[str, Any]) -> Iterator[float]:
    """How far the children are, and the approvals, in percent."""
    for of in _children(item):
        yield from _shares(of)
    yield from _shares(_reviews(item))


def shares_of(items: list[dict[str, Any]]) -> Iterator[float]:
    """How far they are, in percent."""
    for field in _HOW_FAR:
        yield from _shares(Counter(str(item[field]) for item in items if field in item))


def totals_of(data: Any) -> dict[str, int]:
    """How many there are of what has a name in `_NOUNS`; without what the data does not hold, or not in full."""
    if not isinstance(data, dict) or "left_out" in data:
        return {}
    pulls = [*_items(data, "pull_requests"), *_items(data, "pull_requests_of_other_issues")]
    found = {
        "children": max([len(_items(data, "children")), *(of.total() for of in _children(data))]),
        "pull_requests": len(pulls),
        "linked_issues": 0 if "linked_issues_note" in data else len(_items(data, "linked_issues")),
        "comments": 0 if "comments_note" in data else len(_items(data, "comments")) + 1,  # and the one to answer
        "builds": sum(len(_items(pull, "builds")) for pull in pulls),
        "approvals": max((len(pull.get("reviewers", ())) for pull in pulls), default=0),
    }
    if not isinstance(data.get("children_count", {}).get("all", 0), int):  # "at least 4"
        del found["children"]
    return {name: total for name, total in found.items() if total}


def _children(item: dict[str, Any]) -> list[Counter[str]]:
    """The children by status, and by what a status means as far as those that are listed tell it."""
    numbers = item.get("children_count")
    if not isinstance(numbers, dict):
        return []
    by_status = Counter({name: n for name, n in numbers.items() if name != "all" and isinstance(n, int)})
    means = {str(child.get("status")): str(child.get("status_means")) for child in _items(item, "children")}
    by_category: Counter[str] = Counter()
    for status, count in by_status.items():
        by_category[means.get(status, status)] += count
    return [by_status, by_category]


def _reviews(item: dict[str, Any]) -> Counter[bool]:
    """The reviewers of a pull request by whether they approved."""
    asked, approved = item.get("reviewers"), item.get("approved_by")
    if not isinstance(asked, list) or not isinstance(approved, list):
        return Counter()
    names = [one.get("name") if isinstance(one, dict) else one for one in approved]
    return Counter(name in names for name in asked)


def _items(data: dict[str, Any], name: str) -> list[Any]:
    found = data.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _both(of: Counter[Any]) -> Iterator[int]:
    yield from (count for n in of.values() for count in (n, of.total() - n))


def _shares(of: Counter[Any]) -> Iterator[float]:
    yield from (round(100 * n / of.total(), 2) for n in _both(of) if of.total() > 1)
