"""Imports point one way: pure rules ← ports ← workflow, reports ← handlers ← app. Imports in functions count."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS: tuple[tuple[str, ...], ...] = (
    ("bot.errors", "bot.clock", "bot.environment", "bot.failpoints", "bot.log", "bot.offload", "bot.domain",
     "bot.settings", "bot.safety", "bot.markup", "bot.claims", "bot.support", "bot.rules", "bot.cards", "bot.prompting",
     "bot.access.origin", "bot.spending.prices"),
    ("bot.store", "bot.queue", "bot.clients", "bot.access", "bot.spending", "bot.context"),
    ("bot.workflow", "bot.reports", "bot.intake", "bot.reactions", "bot.work", "bot.schedule"),
    ("handlers", "bot.http"),
    ("bot.wiring", "bot.app", "bot.commands", "bot.demo", "bot.evals", "bot.__main__"),
)  # fmt: skip
# Nothing is lower than the package itself, and a test of a rule needs no layer.
FILES = sorted([*ROOT.glob("bot/**/*.py"), *ROOT.glob("handlers/**/*.py")])


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module(path) for path in FILES}


def rank(name: str) -> int:
    """The layer of a module; -1 for `bot` itself. A module without a layer fails: give it one."""
    found = [n for n, layer in enumerate(LAYERS) for part in layer if name == part or name.startswith(f"{part}.")]
    assert found or name == "bot", f"{name} is in no layer of {__name__}"
    return found[0] if found else -1


def imports(node: ast.AST) -> Iterator[str]:
    """The modules of ours that are imported when this code runs: not those under `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        names = [alias.name for alias in child.names] if isinstance(child, ast.Import) else []
        if isinstance(child, ast.ImportFrom) and child.module:
            names = [f"{child.module}.{a.name}" for a in child.names] if child.module == "bot" else [child.module]
        yield from (name for name in names if name.split(".")[0] in ("bot", "handlers") and name != "bot.__version__")
        yield from imports(child)


@pytest.mark.parametrize("path", FILES, ids=module)
def test_imports_point_one_way(path: Path) -> None:
    mine = module(path)
    for other in imports(ast.parse(path.read_text(encoding="utf-8"))):
        assert rank(other) <= max(rank(mine), 0), f"{mine} imports {other}, which is nearer to the world"
        if mine.startswith("handlers"):
            assert not other.startswith(("bot.clients", "bot.store.")), f"{mine} reaches past the workflow to {other}"
        if other.startswith("bot.demo"):
            knows = ("bot.demo", "bot.evals", "bot.commands.demo", "bot.commands.evals", "bot.__main__")
            assert mine.startswith(knows), f"{mine} knows the stand-ins"


def all_imports(path: Path) -> set[str]:
    """Every module of ours that this one names in an import, also for types and in functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            within = {f"{node.module}.{alias.name}" for alias in node.names}
            found.update(within & MODULES or {node.module})
    return found & MODULES - {module(path)}


def test_no_module_imports_itself_by_others() -> None:
    """Also not for types: a cycle means that two modules are one, or that a third is missing."""
    graph = {module(path): all_imports(path) for path in FILES}
    while leaves := [name for name, others in graph.items() if not others & graph.keys()]:
        for name in leaves:
            del graph[name]
    assert not graph, f"these import each other: {graph}"
