"""What a document of ours may look like: a small schema of the ADF nodes that we emit, checked before every POST. Pure.

Stricter than Atlassian's published schema wherever Jira itself is stricter (a list item starts with a paragraph or
code), and closed: a node, an attribute or a mark that is not named here is a problem.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

MAX_DEPTH = 100
"""Levels; deeper documents are refused rather than walked."""

_INLINE = frozenset({"text", "hardBreak", "mention"})
_IN_LIST = frozenset({"paragraph", "bulletList", "orderedList", "codeBlock"})
_TOP = _IN_LIST | {"heading", "blockquote", "rule", "table"}
_CELLS = frozenset({"tableHeader", "tableCell"})


def _words(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _whole(low: int, high: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _web(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(("http://", "https://", "mailto:"))


class _Kind(NamedTuple):
    """What a node may hold (None: no `content`), whether it must, and its attributes (`!` marks a needed one)."""

    holds: frozenset[str] | None = None
    needs: bool = False
    attrs: dict[str, Callable[[Any], bool]] = {}  # noqa: RUF012  # a default that nobody changes


_KINDS: dict[str, _Kind] = {
    "doc": _Kind(_TOP, needs=True),
    "paragraph": _Kind(_INLINE),
    "heading": _Kind(_INLINE, attrs={"level!": _whole(1, 6)}),
    "bulletList": _Kind(frozenset({"listItem"}), needs=True),
    "orderedList": _Kind(frozenset({"listItem"}), needs=True, attrs={"order": _whole(0, 999_999_999)}),
    "listItem": _Kind(_IN_LIST, needs=True),
    "blockquote": _Kind(_IN_LIST, needs=True),
    "codeBlock": _Kind(frozenset({"text"}), attrs={"language": _words}),
    "rule": _Kind(),
    "table": _Kind(frozenset({"tableRow"}), needs=True),
    "tableRow": _Kind(_CELLS, needs=True),
    "tableHeader": _Kind(frozenset({"paragraph"}), needs=True),
    "tableCell": _Kind(frozenset({"paragraph"}), needs=True),
    "hardBreak": _Kind(),
    "mention": _Kind(attrs={"id!": _words, "text": _words}),
    "text": _Kind(),
}
_OWN_KEYS = {"text": frozenset({"text", "marks"}), "doc": frozenset({"version"})}
_MARKS = frozenset({"strong", "em", "strike", "code", "link"})


def check_adf(doc: object) -> list[str]:
    """What is wrong with a document, each with its place (`doc.content[2].attrs`); [] when it may be sent."""
    if not isinstance(doc, dict) or doc.get("type") != "doc":
        return ["doc: not an ADF document"]
    problems = list(_check(doc, "doc", 0))
    if doc.get("version") != 1:
        problems.append("doc.version: must be 1")
    return problems


def _check(node: dict[Any, Any], at: str, depth: int) -> Iterator[str]:
    name = node.get("type")
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None or not isinstance(name, str):
        yield f"{at}: unknown node {str(name)[:40]!r}"
        return
    allowed = {"type"} | _OWN_KEYS.get(name, frozenset())
    allowed |= ({"content"} if kind.holds else set()) | ({"attrs"} if kind.attrs else set())
    for key in node.keys() - allowed:
        yield f"{at}: {name} has no {str(key)[:40]!r}"
    yield from _check_attrs(node.get("attrs", {}), kind, at)
    if name == "text":
        yield from _check_text(node, at)
    if kind.holds:
        yield from _check_content(node.get("content", []), name, kind, at, depth)


def _check_attrs(attrs: object, kind: _Kind, at: str) -> Iterator[str]:
    if not isinstance(attrs, dict):
        yield f"{at}.attrs: not an object"
        return
    known = {name.rstrip("!"): (name.endswith("!"), good) for name, good in kind.attrs.items()}
    for name, (needed, good) in known.items():
        if name in attrs and not good(attrs[name]):
            yield f"{at}.attrs.{name}: {str(attrs[name])[:40]!r} is not allowed"
        elif name not in attrs and needed:
            yield f"{at}.attrs.{name}: missing"
    if kind.attrs:
        yield from (f"{at}.attrs: unknown {str(name)[:40]!r}" for name in attrs.keys() - known.keys())


def _check_text(node: dict[Any, Any], at: str) -> Iterator[str]:
    if not _words(node.get("text")):
        yield f"{at}.text: empty or not a string"
    marks = node.get("marks", [])
    if not isinstance(marks, list):
        yield f"{at}.marks: not a list"
        return
    names = [mark.get("type") if isinstance(mark, dict) else None for mark in marks]
    for mark, name in zip(marks, names, strict=True):
        if not isinstance(name, str) or name not in _MARKS:
            yield f"{at}.marks: unknown {str(name)[:40]!r}"
        elif name == "link":
            attrs = mark.get("attrs")
            if mark.keys() != {"type", "attrs"} or not isinstance(attrs, dict) or attrs.keys() != {"href"}:
                yield f"{at}.marks: a link has an href and nothing else"
            elif not _web(attrs["href"]):
                yield f"{at}.marks: this address may not be a link"
        elif mark.keys() != {"type"}:
            yield f"{at}.marks: {name} has no attributes"
    if len(names) != len({str(name) for name in names}):
        yield f"{at}.marks: one mark twice"
    if "code" in names and not {str(name) for name in names} <= {"code", "link"}:
        yield f"{at}.marks: code goes with a link alone"


def _check_content(content: object, name: str, kind: _Kind, at: str, depth: int) -> Iterator[str]:
    if not isinstance(content, list):
        yield f"{at}.content: not a list"
        return
    if not content and kind.needs:
        yield f"{at}.content: empty"
    if depth >= MAX_DEPTH:
        yield f"{at}: nested too deeply"
        return
    for number, child in enumerate(content):
        place = f"{at}.content[{number}]"
        if not isinstance(child, dict):
            yield f"{place}: not an object"
            continue
        inner = child.get("type")
        if isinstance(inner, str) and inner in _KINDS and inner not in (kind.holds or ()):
            yield f"{place}: {inner} may not stand in {name}"
        if name == "codeBlock" and child.get("marks"):
            yield f"{place}: marks in code"
        if name == "listItem" and number == 0 and inner in ("bulletList", "orderedList"):
            yield f"{place}: an item starts with words or code"
        yield from _check(child, place, depth + 1)
