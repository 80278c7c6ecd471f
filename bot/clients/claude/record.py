"""What is kept of a call to Claude."""

from __future__ import annotations

from bot.domain.issues import Frozen


class CallRecord(Frozen):
    """One call as it is kept in `agent_cycles`. `cost_usd` in dollars, `ms` from asking to the answer.

    `shown`: the user part of the request, with the block of data: what the model was shown, for `python -m bot replay`.
    """

    purpose: str
    model: str
    prompt: str
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float = 0.0
    ms: int = 0
    stop_reason: str = ""
    request_id: str = ""
    shown: str = ""
