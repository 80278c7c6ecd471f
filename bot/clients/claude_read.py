"""Claude's messages, read into an answer of our own: the text, how it ended, and the call as it is recorded. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot.clients.call_record import CallRecord
from bot.prompting.requests import Request
from bot.spending.prices import Usage, cost

if TYPE_CHECKING:
    from anthropic.types import Message


@dataclass(frozen=True)
class Answer:
    """What came back: the text blocks' text, why the model stopped, a refusal's category, and the call as recorded."""

    text: str
    stop_reason: str
    category: str
    call: CallRecord


def read_answer(request: Request, message: Message, request_id: str, ms: int) -> Answer:
    """The answer that a message holds. `ms`: how long the call took."""
    # Thinking blocks come first: only blocks that say they are text are the answer.
    # (The SDK does not validate: a block may lack anything.)
    blocks = [getattr(block, "text", None) for block in message.content if getattr(block, "type", "") == "text"]
    text = "".join(part for part in blocks if isinstance(part, str))
    usage = _usage(message)
    stop_reason = str(message.stop_reason or "")
    details = getattr(message, "stop_details", None)
    record = CallRecord(
        purpose=request.purpose,
        model=request.model,
        prompt=request.prompt,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cost_usd=round(cost(request.model, usage), 9),
        ms=ms,
        stop_reason=stop_reason,
        request_id=request_id,
        shown=request.message,
    )
    return Answer(text, stop_reason, str(getattr(details, "category", None) or ""), record)


def _usage(message: Message) -> Usage:
    """The tokens that the call is billed for."""

    def count(source: Any, name: str) -> int:
        value = getattr(source, name, None)
        return value if isinstance(value, int) and value > 0 else 0

    usage = getattr(message, "usage", None)
    return Usage(
        input_tokens=count(usage, "input_tokens"),
        output_tokens=count(usage, "output_tokens"),
        cache_read_tokens=count(usage, "cache_read_input_tokens"),
        cache_write_tokens=count(usage, "cache_creation_input_tokens"),
        cache_write_1h_tokens=count(getattr(usage, "cache_creation", None), "ephemeral_1h_input_tokens"),
    )
