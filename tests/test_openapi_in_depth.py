"""All requests that schemathesis makes from the OpenAPI document, its thousands of boundary cases among them.

It makes them while pytest collects, which takes longer than all other tests' collection: see `conftest`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings

from handlers import openapi
from tests.openapi_requests import answered_as_described, in_a_thread

pytest_plugins = ["schemathesis.pytest.plugin"]
schema = schemathesis.openapi.from_dict(openapi())


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with in_a_thread(tmp_path_factory.mktemp("sidecar")) as found:
        yield found


@pytest.mark.soak
@schema.parametrize()
@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_document_is_true(case: schemathesis.Case[Any], address: str) -> None:
    answered_as_described(case, address)
