"""Claude, as the model needs it: every draft has words of its own, and what a comment says decides how it goes."""

from __future__ import annotations

import re
from typing import Any

from bot.demo.claude.stand_in import ClaudeStandIn, Item, Special
from bot.demo.wire import Exchange
from bot.prompting.untrusted import read_block
from bot.spending.prices import Usage, cost


def tokens(text: str) -> list[str]:
    """The words of a text without its markup: the same for Markdown, for a card and for what Jira got."""
    return re.findall(r"\w+", text)


def shown_reply(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The block in which a card shows its reply: by itself, or in a container."""
    inner = [child for block in blocks for child in block.get("child_blocks", ())]
    return [block for block in (*blocks, *inner) if block.get("block_id") == "draft"]


class Writer(ClaudeStandIn):
    """`written`: every draft so far. `spent`: what all answered calls cost, by Anthropic's price list.

    A comment with "thanks" gets no answer, one with "refuse" a refusal, one with "long" a draft that is too long.
    """

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []
        self.spent = 0.0
        self.dearest = 0.0
        self.listeners.append(self._count_cost)

    def _next(self, body: dict[str, Any]) -> Item | None:
        scripted = super()._next(body)
        if scripted is not None:
            return scripted
        message = body["messages"][-1]["content"]
        text = message if isinstance(message, str) else "".join(part.get("text", "") for part in message)
        said = str(read_block(text).get("to_answer"))
        if "refuse" in said:
            return Special("refusal", category="cyber")
        asked_for = "asked for this reply" in text
        if "thanks" in said.lower() and not asked_for:
            return {"reasoning": "Only thanks.", "should_respond": False, "response_text": "", "confidence": 0.9}
        reply = ""
        if not text.startswith("Task: triage"):
            number = len(self.written) + 1
            reply = f"Hello, word{number} is **in review** by now.\n\n- one\n- {number} more"
            if "long" in said:
                reply += " and so on" * 400
            self.written.append(reply)
        return {"reasoning": "A question.", "should_respond": True, "response_text": reply, "confidence": 0.8}

    def _count_cost(self, exchange: Exchange) -> None:
        found = exchange.response if isinstance(exchange.response, dict) else {}
        if exchange.status != 200 or found.get("type") != "message":
            return
        usage = found["usage"]
        dollars = cost(
            found["model"],
            Usage(
                input_tokens=usage["input_tokens"],
                output_tokens=usage["output_tokens"],
                cache_read_tokens=usage["cache_read_input_tokens"],
                cache_write_tokens=usage["cache_creation_input_tokens"],
            ),
        )
        self.spent += dollars
        self.dearest = max(self.dearest, dollars)
