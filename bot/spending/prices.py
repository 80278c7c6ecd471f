"""What a call costs: Anthropic's list prices, in US dollars per million tokens.

Source: https://platform.claude.com/docs/en/about-claude/pricing, as of 2026-11-22. Reading the cache costs a tenth of
input, writing it 1.25 times (five minutes) or twice (one hour). A model that is not in the table counts as the dearest
one, so that a budget is never overspent by not knowing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

CACHE_READ = 0.1
CACHE_WRITE_5M = 1.25
CACHE_WRITE_1H = 2.0
_MILLION = 1_000_000


@dataclass(frozen=True)
class Price:
    """Dollars per million tokens. Above `long_from` input tokens the whole call costs the long prices."""

    input: float
    output: float
    long_from: int | None = None
    long_input: float = 0.0
    long_output: float = 0.0

    def rates(self, input_tokens: int) -> tuple[float, float]:
        """(input, output) for a call with this many input tokens in all."""
        if self.long_from is not None and input_tokens > self.long_from:
            return self.long_input, self.long_output
        return self.input, self.output


PRICES: dict[str, Price] = {
    "claude-haiku-5-5": Price(0.10, 0.50, long_from=100_000, long_input=0.50, long_output=2.50),
    "claude-sonnet-5-5": Price(2.0, 10.0),
    "claude-opus-5-5": Price(4.0, 20.0),
    "claude-fable-5-1": Price(10.0, 50.0),
    "claude-haiku-4-5": Price(1.0, 5.0),
}
DEAREST = max(PRICES.values(), key=lambda price: price.output)


@dataclass(frozen=True)
class Usage:
    """Tokens of one call, as Claude counted them. All input: the sum of the three input figures.

    `cache_write_1h_tokens` is the part of `cache_write_tokens` that was written for an hour.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0

    @property
    def all_input(self) -> int:
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens


def price_of(model: str) -> Price:
    """The model's price; a dated name (`claude-haiku-4-5-20251001`) has its model's. Unknown: the dearest."""
    return PRICES.get(model) or PRICES.get(re.sub(r"-\d{8}$", "", model)) or DEAREST


def cost(model: str, usage: Usage) -> float:
    """Dollars for one call with this usage."""
    input_price, output_price = price_of(model).rates(usage.all_input)
    write_5m = usage.cache_write_tokens - usage.cache_write_1h_tokens
    weighted = (
        usage.input_tokens
        + usage.cache_read_tokens * CACHE_READ
        + write_5m * CACHE_WRITE_5M
        + usage.cache_write_1h_tokens * CACHE_WRITE_1H
    )
    return (weighted * input_price + usage.output_tokens * output_price) / _MILLION


def highest_cost(model: str, prompt: str, max_tokens: int) -> float:
    """What a call can cost at most, in dollars.

    Every byte of the prompt a token, all of it written to the cache, all output used. A token stands for at
    least one byte, so this holds for any language; for English it is about four times too much.
    """
    tokens = len(prompt.encode())
    return cost(model, Usage(cache_write_tokens=tokens, output_tokens=max_tokens))
