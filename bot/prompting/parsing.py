"""Parsing what Claude answered into a `ReplyDecision`, or into the reason why it is none."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.json_schema import SkipJsonSchema

from bot.claims import StatedClaim, well_formed
from bot.domain.drafts import MAX_DRAFT_LENGTH
from bot.domain.issues import Frozen
from bot.domain.mentions import without_names
from bot.errors import PMAgentError
from bot.markup.compact import without_gaps
from bot.prompting.fence import unfenced
from bot.safety import tidy
from bot.safety.quoting import shortened

MAX_REASONING = 600
"""Characters of the reasoning that are kept: it is one line on the card."""
MAX_LOOK = 300
"""Characters of what deserves a second look."""


class InvalidAnswer(PMAgentError):
    """The answer is no decision. `reason`: why, for a person. `note`: what the second request says about it."""

    def __init__(self, reason: str, note: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.note = note or f"Your previous answer could not be used: {reason}. Answer again, in the required JSON."


class TooLong(InvalidAnswer):
    """A reply over the limit. It is asked for again, shorter; it is never cut."""

    def __init__(self, length: int) -> None:
        super().__init__(
            f"the reply has {length:,} characters; the limit is {MAX_DRAFT_LENGTH:,}",
            f"Your previous reply had {length:,} characters and was not used: the limit is {MAX_DRAFT_LENGTH:,}. Write "
            "a much shorter one, under 120 words, with only what answers the question.",
        )


class TooComplex(InvalidAnswer):
    """A reply that the card cannot show whole, or Jira not take: `problem` says why. It is asked for again, simpler."""

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"the reply {problem}",
            f"Your previous reply was not used: it {problem}. Write it again, simpler: short paragraphs, at most one "
            "flat list of a few items, no table, hardly any formatting.",
        )


class ReplyDecision(Frozen):
    """What Claude decided. `response_text`: Markdown, empty when not responding; `sources`: refs that were given.

    `look_twice`: what in the reply deserves a second look; "" for nothing. `claims`: what it says that the reply
    states; None where it does not say.
    """

    should_respond: bool
    reasoning: str
    response_text: str
    confidence: float
    sources: tuple[str, ...] = ()
    look_twice: str = ""
    claims: tuple[StatedClaim, ...] | None = None


class DecisionAnswer(BaseModel):
    """The decision about one event."""

    # The order is the order of writing: the reason is found before the verdict, the facts before the words.
    reasoning: str = Field(description="One or two short sentences for a colleague: why an answer is due, or why not.")
    should_respond: bool = Field(description="Whether a reply should be drafted.")
    response_text: str = Field(description="The reply in Markdown; an empty string when should_respond is false.")
    confidence: float = Field(ge=0, le=1, allow_inf_nan=False, description="How sure you are, from 0 to 1.")
    sources: tuple[str, ...] = Field(default=(), description="The refs of the facts that the reply states.")

    @field_validator("sources", mode="before")
    @classmethod
    def _lenient(cls, value: Any) -> Any:
        # Optional: an odd value here costs the trace on the card, not the answer.
        return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list | tuple) else ()


class ReplyAnswer(DecisionAnswer):
    """The decision about one event, with a reply and what it states."""

    # The schema asks for both; an answer without them still is one, and its claims are found out later.
    model_config = ConfigDict(json_schema_extra=lambda schema: schema["required"].extend(("look_twice", "claims")))

    look_twice: str = Field(default="", description="What in the reply deserves a second look; empty for nothing.")
    claims: tuple[StatedClaim, ...] | SkipJsonSchema[None] = Field(default=None, description="What the reply states.")

    @field_validator("look_twice", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return value if isinstance(value, str) else ""

    @field_validator("claims", mode="before")
    @classmethod
    def _well_formed(cls, value: Any) -> Any:
        return well_formed(value)


class ClaimsAnswer(BaseModel):
    """What a text states."""

    claims: tuple[StatedClaim, ...] = Field(description="What the text states.")

    @field_validator("claims", mode="before")
    @classmethod
    def _well_formed(cls, value: Any) -> Any:
        return well_formed(value)


def read_claims(text: str) -> tuple[StatedClaim, ...]:
    """Read an answer to a request for the claims in a text. Raises `InvalidAnswer`."""
    try:
        return ClaimsAnswer.model_validate_json(text, strict=True).claims
    except ValidationError as error:
        raise InvalidAnswer(_first_problem(error)) from None


def read_decision(text: str, *, drafting: bool = True, refs: Collection[str] | None = None) -> ReplyDecision:
    """Read an answer. The four fields must be there with exact types; unknown fields are ignored.

    `drafting` False (triage): the response text is not wanted and is dropped. `refs`: sources other than these are
    dropped. Raises `InvalidAnswer`, or `TooLong` for a reply over the limit.
    """
    try:
        answer = ReplyAnswer.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise InvalidAnswer(_first_problem(error)) from None
    wanted = drafting and answer.should_respond
    # In the window behind Edit a name stands beside the id that Jira notifies, and the model may give another's.
    words = without_names(without_gaps(unfenced(tidy(answer.response_text)))).strip() if wanted else ""
    if wanted and not words:
        raise InvalidAnswer("should_respond is true, but response_text is empty")
    if len(words) > MAX_DRAFT_LENGTH:
        raise TooLong(len(words))
    sources = dict.fromkeys(s for s in answer.sources if refs is None or s in refs)
    return ReplyDecision(
        should_respond=answer.should_respond,
        reasoning=_line(answer.reasoning, MAX_REASONING),
        response_text=words,
        confidence=float(answer.confidence),
        sources=tuple(sources),
        look_twice=_line(answer.look_twice, MAX_LOOK) if wanted else "",
        claims=answer.claims if wanted else (),
    )


def _line(text: str, length: int) -> str:
    return shortened(" ".join(tidy(text).split()), length)


def _first_problem(error: ValidationError) -> str:
    """One sentence without the answer's own text in it (which may be anything)."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    if first["type"].startswith("json"):
        return "the answer is not valid JSON"
    where = ".".join(str(part) for part in first["loc"]) or "the answer"
    if first["type"] == "missing":
        return f"{where} is missing in the answer"
    return f"{where} is not right in the answer: {first['msg'].lower()}"
