"""Makes `bot/safety/vendored_rules.json` from the rules of Betterleaks, which kingfisher-secret-scanner holds.

    python -m tests.secret_lists.make_vendored_rules

To be run when the package's version in requirements-tools.txt moves. The program does not import the package: its
scanner takes 50 MB of memory and seconds to compile, and looks for secrets in files of code. What is taken of a rule is
its pattern and its least entropy. Three things are changed: syntax of RE2 that Python writes in another way; what must
follow a secret (in prose that may be a full stop or a bracket); and the literals are worked out with which every match
begins, or of which every match holds one, so that one pass over a text tells which rules to try and where.
"""

from __future__ import annotations

import json
import re
import re._constants as c
import re._parser as parser
import warnings
from collections.abc import Iterable
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[2] / "bot" / "safety" / "vendored_rules.json"
_PACKAGE = "kingfisher-secret-scanner"
_FEW = 64  # spellings of one literal that are kept apart
_END = re.compile(r"""\(\?:\\\\?\?\['"\\x60\]\|\[\\s;\]\|\\\\\[nr\]\|\$\)""")
_POSIX = {"alnum": "A-Za-z0-9", "alpha": "A-Za-z", "digit": "0-9", "xdigit": "0-9A-Fa-f", "word": r"\w", "space": r"\s"}
_LABELS = {"key", "secret", "token", "private", "access"}
LEFT_OUT = {
    **dict.fromkeys(
        ("private-key", "gcp-service-account"), "found by `bot.safety.keys`, also quoted, listed and cut off"
    ),
    **dict.fromkeys(
        ("curl-auth-header", "curl-auth-user", "generic-credential-uri", "jwt", "deepseek-api-key", "kimi-api-key"),
        "found by a rule of our own, cut off or in another scheme too, and no more than the secret",
    ),
    **dict.fromkeys(
        (
            "azure-storage-account-key", "endorlabs-api-secret", "gcp-application-default-credentials",
            "kubernetes-secret-yaml", "snowflake-programmatic-access-token.1",
        ),
        "found by its label, in less time",
    ),
}  # fmt: skip


def made() -> dict[str, Any]:
    """What the file holds."""
    from kingfisher_sdk import Rules

    rules = Rules(confidence="low", cache=False)
    found, left_out = [], []
    for entry in sorted(rules.metadata(), key=lambda entry: entry["id"]):
        source, _, name = entry["id"].partition(".")
        if source != "betterleaks" or name in LEFT_OUT or "client-id" in name or not entry["visible"]:
            continue
        detail = rules.detail(entry["id"])
        try:
            pattern = translated(detail["pattern"])
            leading = leads(pattern)
            hints = sorted(leading or literals(pattern))
            if _LABELS & set(hints):
                raise ValueError(f"found by its label: {hints}")
            if not leading and len(min(hints, key=len)) < 5:
                raise ValueError(f"too many texts may hold it: {hints}")
        except (re.error, ValueError) as problem:
            left_out.append(f"{name}: {problem}")
            continue
        entropy = _entropy(detail["betterleaks_filter"])
        rule = {"name": name, "hints": hints, "leads": bool(leading), "entropy": entropy, "pattern": pattern}
        found.append(rule)
    return {
        "source": f"Betterleaks, as {_PACKAGE} {version(_PACKAGE)} holds it",
        "licence": "MIT, Copyright (c) 2026 Zachary Rice; see vendored_rules.LICENSE",
        "left_out": left_out,
        "rules": found,
    }


def translated(pattern: str) -> str:
    """The pattern in Python's syntax, matching also before punctuation."""
    pattern = _END.sub("(?![A-Za-z0-9])", pattern).replace(r"\z", r"\Z")
    for name, inside in _POSIX.items():
        pattern = pattern.replace(f"[:{name}:]", inside)
    pattern = _flags_inside(pattern)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        re.compile(pattern, re.ASCII)
    return pattern


def _flags_inside(pattern: str) -> str:
    """`a(?i)b` as `a(?i:b)`: RE2's flag counts to the end of its group, Python's only at the beginning of a pattern."""
    out: list[str] = []
    closing = [0]  # brackets to close at the end of each open group
    at, in_class = 0, False
    while at < len(pattern):
        char = pattern[at]
        flag = re.compile(r"\(\?(i|-i|s|m|is)\)").match(pattern, at)
        if char == "\\":
            out.append(pattern[at : at + 2])
            at += 2
            continue
        if in_class:
            in_class = char != "]"
            char = "\\[" if char == "[" else char  # or Python warns of sets in sets
        elif char == "[":
            in_class = True
            width = 2 if pattern[at + 1 : at + 2] == "^" else 1
            if pattern[at + width : at + width + 1] == "]":
                width += 1
            out.append(pattern[at : at + width])
            at += width
            continue
        elif flag:
            out.append(f"(?{flag[1]}:")
            closing[-1] += 1
            at = flag.end()
            continue
        elif char == "(":
            closing.append(0)
        elif char == ")":
            out.append(")" * closing.pop())
        out.append(char)
        at += 1
    return "".join(out) + ")" * closing[0]


def leads(pattern: str) -> set[str]:
    """Texts in lower case of which one begins every match; none where a match may begin otherwise."""
    found = _beginning(parser.parse(pattern, re.ASCII))
    return found if found and min(map(len, found)) >= 3 else set()


def _beginning(items: Iterable[Any]) -> set[str]:
    run = {""}
    for item in items:
        exact = _exact(item)
        if exact is None and item[0] is c.SUBPATTERN:
            inside = _beginning(item[1][3])
            return {before + after for before, after in product(run, inside)} if len(run) * len(inside) <= _FEW else run
        if exact is None or len(run) * len(exact) > _FEW:
            break
        run = {before + after for before, after in product(run, exact)}
    return run


def literals(pattern: str) -> set[str]:
    """Texts in lower case of which one stands in every match; ValueError where there are none."""
    found = _needed(parser.parse(pattern, re.ASCII))
    if not found:
        raise ValueError("no literal stands in all that it matches")
    return {hint for hint in found if not any(other != hint and other in hint for other in found)}


def _needed(items: Iterable[Any]) -> set[str] | None:
    best: set[str] | None = None
    run = {""}

    def better(found: set[str] | None) -> set[str] | None:
        if not found or (best is not None and min(map(len, found)) <= min(map(len, best))):
            return best
        return found

    for item in items:
        exact = _exact(item)
        if exact is not None and len(run) * len(exact) <= _FEW:
            run = {before + after for before, after in product(run, exact)}
            continue
        best = better(run)
        best = better(_inside(item))
        run = {""} if exact is None else exact
    return better(run)


def _inside(item: Any) -> set[str] | None:
    """What every match of one item of a pattern holds, where the item is no finite set of texts."""
    kind, value = item
    if kind is c.SUBPATTERN:
        return _needed(value[3])
    if kind is c.ATOMIC_GROUP:
        return _needed(value)
    if kind is c.BRANCH:
        parts = [_needed(branch) for branch in value[1]]
        return {text for part in parts for text in part or ()} if all(parts) else None
    if kind in (c.MAX_REPEAT, c.MIN_REPEAT, c.POSSESSIVE_REPEAT) and value[0] > 0:
        return _needed(value[2])
    return None


def _exact(item: Any) -> set[str] | None:
    """All texts that one item of a pattern matches, in lower case; None where they are too many."""
    kind, value = item
    if kind is c.LITERAL:
        return {chr(value).lower()}
    if kind in (c.AT, c.ASSERT, c.ASSERT_NOT):
        return {""}
    if kind is c.IN and all(part[0] is c.LITERAL for part in value) and len(value) <= 6:
        return {chr(part[1]).lower() for part in value}
    if kind is c.SUBPATTERN:
        return _all_of(value[3])
    if kind is c.BRANCH:
        parts = [_all_of(branch) for branch in value[1]]
        whole = {text for part in parts for text in part or ()}
        return whole if all(part is not None for part in parts) and len(whole) <= _FEW else None
    if kind in (c.MAX_REPEAT, c.MIN_REPEAT) and value[1] == 1:
        once = _all_of(value[2])
        return None if once is None else once if value[0] else {"", *once}
    return None


def _all_of(items: Iterable[Any]) -> set[str] | None:
    run = {""}
    for item in items:
        exact = _exact(item)
        if exact is None or len(run) * len(exact) > _FEW:
            return None
        run = {before + after for before, after in product(run, exact)}
    return run


def _entropy(tree: Any) -> float:
    """The least entropy that a rule asks of what it found, out of the tree of its filter; 0 where it asks for none."""
    if isinstance(tree, dict):
        left = tree.get("left")
        if (
            tree.get("operator") in ("<", "<=")
            and isinstance(left, dict)
            and left.get("callee", {}).get("value") == "entropy"
        ):
            return float(tree["right"]["value"])
        return max((_entropy(value) for value in tree.values()), default=0.0)
    return max((_entropy(value) for value in tree), default=0.0) if isinstance(tree, list) else 0.0


def main() -> None:
    found = made()
    rules = ",\n".join(json.dumps(rule, ensure_ascii=False) for rule in found.pop("rules"))
    head = json.dumps(found, indent=1, ensure_ascii=False)[:-2]
    FILE.write_text(f'{head},\n "rules": [\n{rules}\n]}}\n', "utf-8")
    print(f"{FILE}: {rules.count(chr(10)) + 1} rules; left out:", *found["left_out"], sep="\n  ")


if __name__ == "__main__":
    main()
