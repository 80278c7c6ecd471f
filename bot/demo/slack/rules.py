"""What every check needs: Slack's errors, problems in Slack's words, the rules for fields, texts and lists."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


class ApiError(Exception):
    """An answer with `ok` false. `more` stands beside the error's name."""

    def __init__(self, error: str, *messages: str, **more: Any) -> None:
        super().__init__(error)
        self.answer: Json = {"ok": False, "error": error, **more}
        if messages:
            self.answer["response_metadata"] = {"messages": list(messages)}


@dataclass
class Problems:
    """Problems found so far, each as Slack writes it into `response_metadata.messages`."""

    found: list[str] = field(default_factory=list)

    def add(self, what: str, path: str) -> None:
        self.found.append(f"[ERROR] {what} [json-pointer:{path}]")

    def text(self, value: Any, path: str, longest: int) -> None:
        """`value` has to be a text of 1 to `longest` characters."""
        if not isinstance(value, str):
            self.add("must be a string", path)
        elif not value:
            self.add("must be more than 0 characters", path)
        elif len(value) > longest:
            self.add(f"must be less than {longest + 1} characters", path)

    def items(self, value: Any, path: str, most: int) -> list[Any]:
        """`value` has to be a list of 1 to `most` things; returns them, or nothing to go on with."""
        if not isinstance(value, list):
            self.add("must be an array", path)
            return []
        if not value:
            self.add("no fewer than 1 items allowed", path)
        if len(value) > most:
            self.add(f"no more than {most} items allowed", path)
        return value


def is_object(problems: Problems, value: Any, path: str) -> bool:
    """Whether `value` is a JSON object; a problem is noted when not."""
    if isinstance(value, dict):
        return True
    problems.add("must provide an object", path)
    return False


def check_fields(
    problems: Problems, value: dict[str, Any], path: str, required: set[str], optional: set[str] | None
) -> None:
    """Every required field is there, and none that Slack does not know (`optional` None: any other will do)."""
    for name in sorted(required - value.keys()):
        problems.add(f"missing required field: {name}", path)
    if optional is not None:
        for name in sorted(value.keys() - required - optional):
            problems.add(f"invalid additional property: {name}", path)
