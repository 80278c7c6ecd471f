"""Requests that schemathesis makes from the OpenAPI document, against a sidecar on a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import requests
from requests.auth import AuthBase

from tests.sidecar_harness import BITBUCKET_SECRET, running, sign

if TYPE_CHECKING:
    import schemathesis


@contextmanager
def in_a_thread(folder: Path) -> Iterator[str]:
    """The sidecar's address; it runs on a loop of its own, for clients that block."""
    ready, stop, address = Event(), Event(), []

    async def serve() -> None:
        async with running(folder) as sidecar:
            address.append(sidecar.url)
            ready.set()
            while not stop.is_set():  # noqa: ASYNC110 - the other side is a thread
                await asyncio.sleep(0.02)

    thread = Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(20)
    try:
        yield address[0]
    finally:
        stop.set()
        thread.join(20)


class Signed(AuthBase):
    """Signs what requests is about to send."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body: Any = request.body or b""
        secret = {"/webhooks/bitbucket": BITBUCKET_SECRET}.get(request.path_url)
        encoded = body.encode() if isinstance(body, str) else body
        request.headers["X-Hub-Signature"] = sign(encoded, secret) if secret else sign(encoded)
        return request


def answered_as_described(case: schemathesis.Case[Any], address: str) -> None:
    """Send one request, signed, and hold the answer against the document."""
    from schemathesis.specs.openapi.checks import ignored_auth, negative_data_rejection, positive_data_acceptance

    lenient = [
        positive_data_acceptance,  # what a delivery needs depends on its kind, which no schema can say: 422 is fine
        negative_data_rejection,  # a kind that is not handled is ignored unread
        ignored_auth,  # the wrong signatures that it makes are replaced by right ones here
    ]
    session = requests.Session()
    if case.path.startswith("/webhooks/"):
        session.auth = Signed()
    answer = case.call(base_url=address, session=session)
    case.validate_response(answer, excluded_checks=lenient)
