"""Prices: the table's figures, the cache's factors, and that not knowing a price is never cheap."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.settings import Settings
from bot.spending.prices import DEAREST, PRICES, Usage, cost, highest_cost, price_of

MILLION = 1_000_000


@pytest.mark.parametrize(
    ("model", "dollars_in", "dollars_out"),
    [
        ("claude-sonnet-5-5", 2, 10),
        ("claude-opus-5-5", 4, 20),
        ("claude-fable-5-1", 10, 50),
        ("claude-haiku-4-5", 1, 5),
        ("claude-haiku-4-5-20251001", 1, 5),
    ],
)
def test_list_prices(model: str, dollars_in: float, dollars_out: float) -> None:
    assert cost(model, Usage(input_tokens=MILLION)) == pytest.approx(dollars_in)
    assert cost(model, Usage(output_tokens=MILLION)) == pytest.approx(dollars_out)


def test_long_prompts_cost_more_where_they_do() -> None:
    assert cost("claude-haiku-5-5", Usage(input_tokens=100_000)) == pytest.approx(0.01)
    assert cost("claude-haiku-5-5", Usage(input_tokens=100_001)) == pytest.approx(0.0500005)
    assert cost("claude-haiku-5-5", Usage(cache_read_tokens=100_001, output_tokens=1000)) == pytest.approx(0.00750005)


def test_the_cache_is_cheap_to_read_and_dear_to_write() -> None:
    assert cost("claude-sonnet-5-5", Usage(cache_read_tokens=MILLION)) == pytest.approx(0.2)
    assert cost("claude-sonnet-5-5", Usage(cache_write_tokens=MILLION)) == pytest.approx(2.5)
    assert cost("claude-sonnet-5-5", Usage(cache_write_tokens=MILLION, cache_write_1h_tokens=MILLION)) == pytest.approx(
        4
    )


def test_an_unknown_model_is_the_dearest() -> None:
    assert price_of("claude-unheard-of-9") is DEAREST
    assert all(DEAREST.output >= p.output and DEAREST.input >= p.input for p in PRICES.values())


def test_the_default_models_are_known() -> None:
    fields = Settings.model_fields
    assert {fields["pmagent_model"].default, fields["pmagent_triage_model"].default} <= PRICES.keys()


@given(st.sampled_from([*PRICES, "other"]), st.text(max_size=400), st.integers(1, 9000), st.data())
def test_the_highest_cost_is_never_exceeded(model: str, prompt: str, max_tokens: int, data: st.DataObject) -> None:
    tokens = data.draw(st.integers(0, len(prompt.encode())))
    written = data.draw(st.integers(0, tokens))
    usage = Usage(tokens - written, data.draw(st.integers(0, max_tokens)), cache_write_tokens=written)
    assert cost(model, usage) <= highest_cost(model, prompt, max_tokens) + 1e-12
