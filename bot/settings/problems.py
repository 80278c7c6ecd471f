"""What is wrong with a setting, said in words, without repeating anything that could be a secret."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic_core import PydanticCustomError

from bot.errors import UserError


@dataclass(frozen=True)
class Problem:
    """One thing wrong with the settings: which variable, what, and how to mend it."""

    variable: str
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.variable}: {self.what}" + (f" ({self.mend})" if self.mend else "")


class SettingsError(UserError):
    """All problems of the settings at once.

    `doubts`: what is not certain to be a mistake. `good`: the variables that are set and have no problem.
    """

    def __init__(
        self, problems: tuple[Problem, ...], doubts: tuple[Problem, ...] = (), good: tuple[str, ...] = ()
    ) -> None:
        self.problems = problems
        self.doubts = doubts
        self.good = good
        super().__init__("\n".join(str(problem) for problem in problems))


def wrong(sentence: str) -> PydanticCustomError:
    """What a validator raises. Our own error type: pydantic's repeats the offending value, which may be a secret."""
    return PydanticCustomError("setting", "{sentence}", {"sentence": sentence})
