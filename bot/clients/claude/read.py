"""Claude's messages, read into an answer of our own: the text, how it ended, and the call as it is recorded. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bot.clients.claude.record import CallRecord
from bot.prompting.requests import Request
from bot.spending.prices import Usage, cost


@dataclass(frozen=True)
class Answer:
    """What came back: the text blocks' text, why the model stopped, a refusal's category, and the call as recorded."""

    text: str
    stop_reason: str
    category: str
    call: CallRecord


def read_answer(request: Request, message: dict[str, Any], request_id: str, ms: int) -> Answer:
    """The answer that a message holds. `ms`: how long the call took."""
    # Thinking blocks come first: only blocks that say they are text are the answer. (Any of them may lack anything.)
    blocks = [_at(block, "text") for block in message["content"] if _at(block, "type") == "text"]
    text = "".join(part for part in blocks if isinstance(part, str))
    usage = _usage(_at(message, "usage"))
    stop_reason = str(_at(message, "stop_reason") or "")
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
    return Answer(text, stop_reason, str(_at(_at(message, "stop_details"), "category") or ""), record)


def _usage(usage: Any) -> Usage:
    """The tokens that the call is billed for."""

    def count(source: Any, name: str) -> int:
        value = _at(source, name)
        return value if isinstance(value, int) and value > 0 else 0

    return Usage(
        input_tokens=count(usage, "input_tokens"),
        output_tokens=count(usage, "output_tokens"),
        cache_read_tokens=count(usage, "cache_read_input_tokens"),
        cache_write_tokens=count(usage, "cache_creation_input_tokens"),
        cache_write_1h_tokens=count(_at(usage, "cache_creation"), "ephemeral_1h_input_tokens"),
    )


def _at(value: Any, name: str) -> Any:
    """A field of what Claude sent; None where it has none."""
    return value.get(name) if isinstance(value, dict) else None
