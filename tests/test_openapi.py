"""The OpenAPI document against what is served; bodies that are no JSON, and deliveries that are damaged."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handlers import openapi
from handlers.decoding import NotJson, read_object
from tests.damage import damage
from tests.openapi_requests import Signed, answered_as_described, in_a_thread
from tests.sidecar_harness import (
    FIXTURES,
    raw,
)

if TYPE_CHECKING:
    import schemathesis

QUESTION = "comment_created__question"


def test_the_sidecar_does_not_load_pydantics_first_version() -> None:
    """1.5 MiB that nothing uses. FastAPI loads it to look at a model that a route's answer is declared with."""
    code = "import sys, handlers; handlers.openapi(); sys.exit('pydantic.v1' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], check=False).returncode == 0


class TestStrictJson:
    @given(st.recursive(st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(), st.lists))
    def test_what_json_can_say_is_read(self, value: object) -> None:
        assert read_object(json.dumps({"a": value}).encode()) == {"a": value}

    @given(st.binary(max_size=200))
    def test_anything_else_is_refused_with_a_sentence(self, body: bytes) -> None:
        try:
            said = read_object(body) and "the body is fine"
        except NotJson as error:
            said = str(error)
        assert not said or said.startswith("the body ")

    @pytest.mark.parametrize("number", [2**53 + 1, 2**63, 2**64 - 1, -(2**63)])
    def test_whole_numbers_of_64_bits_stay_whole(self, number: int) -> None:
        assert read_object(b'{"a": %d}' % number) == {"a": number}

    @pytest.mark.parametrize("number", [b"9" * 400, b"9" * 5000, b"1e999", b"NaN", b"-Infinity"])
    def test_what_is_past_every_number_is_refused(self, number: bytes) -> None:
        with pytest.raises(NotJson, match=r"^the body is not JSON: "):
            read_object(b'{"a": %b}' % number)

    def test_the_reason_says_where_and_not_what(self) -> None:
        with pytest.raises(NotJson) as refused:
            read_object(b'{"password": hunter2}')
        assert str(refused.value).endswith("line 1 column 14 (char 13)")
        assert "hunter" not in str(refused.value)

    def test_pairs_of_surrogates_are_characters(self) -> None:
        assert read_object(b'{"a": "\\ud83d\\ude00"}') == {"a": "😀"}

    def test_the_last_of_two_equal_names_counts(self) -> None:
        assert read_object(b'{"a": 1, "a": 2}') == {"a": 2}

    def test_two_hundred_levels(self) -> None:
        assert read_object(b'{"a":' * 200 + b"1" + b"}" * 200)
        with pytest.raises(NotJson, match="more than 200 levels"):
            read_object(b'{"a":' * 201 + b"1" + b"}" * 201)

    def test_many_short_lists_are_not_deep(self) -> None:
        assert read_object(b'{"a": [' + b",".join([b"[]"] * 5000) + b"]}")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with in_a_thread(tmp_path_factory.mktemp("sidecar")) as found:
        yield found


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes, str]:
    """(path, body, event key): one of our payloads, damaged."""
    file = draw(st.sampled_from(sorted(FIXTURES.glob("*/*.json"))))
    found: Any = json.loads(file.read_text())
    damage(draw, found)
    return f"/webhooks/{file.parent.name}", raw(found), file.stem.partition("__")[0].replace("_", ":", 1)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=damaged())
def test_damaged_deliveries_are_answered(address: str, case: tuple[str, bytes, str]) -> None:
    path, body, event_key = case
    headers = {"Content-Type": "application/json", "X-Event-Key": event_key}
    answer = requests.post(address + path, body, headers=headers, auth=Signed(), timeout=10)
    assert answer.status_code in (200, 202, 422), (answer.status_code, answer.text)
    assert answer.json()["event_id"]


def test_what_the_command_prints_is_what_is_served(address: str) -> None:
    command = [sys.executable, "-m", "bot", "openapi"]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, check=True, timeout=60)
    served = requests.get(f"{address}/openapi.json", timeout=10).json()
    assert json.loads(done.stdout) == served
    assert "signature" in served["paths"]["/webhooks/jira"]["post"]["description"]


OPERATIONS = [
    (path, method, mode)
    for path, operations in openapi()["paths"].items()
    for method, operation in operations.items()
    for mode in ("positive", *(["negative"] if "requestBody" in operation else []))
]
"""Each with `negative` requests too where there is something to get wrong."""


@pytest.mark.long
@pytest.mark.parametrize(("path", "method", "mode"), OPERATIONS)
def test_the_document_is_true(path: str, method: str, mode: str, address: str) -> None:
    """Schemathesis makes requests from the OpenAPI document, good ones and bad ones; each is signed.

    It is loaded here, because that takes longer than all else that pytest collects; `soak` has its many more.
    """
    import schemathesis

    operation = schemathesis.openapi.from_dict(openapi())[path][method]

    @settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(schemathesis.GenerationMode(mode)))
    def is_answered_as_described(case: schemathesis.Case[Any]) -> None:
        answered_as_described(case, address)

    is_answered_as_described()
