"""What a request may cost before we know who sent it: how many, how large, how long. Plain ASGI.

`Gate` stands before one endpoint: rate first (429), then size, declared or not (413). The endpoint gets the body whole,
in one message. What we refuse early is read on and thrown away by the server, so that the sender, who is still
sending, sees our answer and no reset. How long a request may take is the connection's affair: `bot.server`.

Why `limits` and not slowapi, which wraps it: slowapi's decorator counts an endpoint's calls after the framework has
done its work, while here the rate comes before the body is read.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from time import time
from typing import Any

from limits import parse_many
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 5 * 2**20
"""Bytes of a request's body."""
MAX_WAITING = 128 * 2**20
"""Bytes of bodies that may be on their way at one time, over all requests."""


class Rates:
    """Counts deliveries per client. `rule` is a rate such as `6000/minute`, or several with `;`. Empty: no limit.

    A window begins with a client's first delivery and holds the amount; then the next begins.
    """

    def __init__(self, rule: str) -> None:
        self._rules = parse_many(rule) if rule.strip() else []
        self._windows = FixedWindowRateLimiter(MemoryStorage())

    def wait(self, client: str) -> int:
        """Count one delivery of this client. 0: go on; else the seconds until the next one is welcome."""
        full = [rule for rule in self._rules if not self._windows.hit(rule, client)]
        ends = [self._windows.get_window_stats(rule, client).reset_time for rule in full]
        return max(1, math.ceil(max(ends) - time())) if ends else 0


class Proxies:
    """Works out who a request comes from. `trusted`: addresses or networks whose X-Forwarded-For is believed."""

    def __init__(self, trusted: Iterable[str]) -> None:
        self._networks = [ip_network(entry, strict=False) for entry in trusted]

    def client(self, scope: Scope) -> str:
        """The sender's address: the connection's, or the nearest one in X-Forwarded-For that is no proxy of ours."""
        peer = _address(scope["client"][0]) if scope.get("client") else None
        if peer is None or not self._trusts(peer):
            return str(peer or "local")
        for entry in reversed(forwarded_for(scope)):
            hop = _address(entry)
            if hop is None:  # nonsense: whoever wrote it stands behind the last hop that made sense
                break
            peer = hop
            if not self._trusts(hop):
                break
        return str(peer)

    def _trusts(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self._networks)


def forwarded_for(scope: Scope) -> list[str]:
    """The entries of all X-Forwarded-For headers, the nearest proxy's last."""
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return [entry.strip() for line in lines for entry in line.split(",") if entry.strip()]


def is_local(scope: Scope) -> bool:
    """Whether a request comes from this machine: a loopback peer that forwards for nobody else."""
    entries = [scope["client"][0] if scope.get("client") else "", *forwarded_for(scope)]
    if any(name in (b"forwarded", b"x-real-ip") for name, _ in scope["headers"]):
        return False
    return all((found := _address(entry)) is not None and found.is_loopback for entry in entries)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    host = text.strip('"')
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def _bucket(client: str) -> str:
    # One household or server has a whole /64 of IPv6 addresses.
    return str(IPv6Network((client, 64), strict=False)) if ":" in client else client


class Waiting:
    """Bytes of bodies on their way, over all gates that share this object."""

    def __init__(self, limit: int = MAX_WAITING) -> None:
        self.limit = limit
        self.bytes = 0


class _Refused(Exception):
    def __init__(self, status: int, reason: str, retry_after: int | None = None) -> None:
        self.status, self.reason, self.retry_after = status, reason, retry_after


class Gate:
    """Before `app`: the rate of its callers, the size of their bodies. See the module's docstring."""

    def __init__(
        self, app: ASGIApp, *, rates: Rates, proxies: Proxies, waiting: Waiting, max_body: int = MAX_BODY
    ) -> None:
        self.app = app
        self.rates = rates
        self.proxies = proxies
        self.waiting = waiting
        self.max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._count(scope)
            body = await self._body(scope, receive)
        except _Refused as no:
            headers = {} if no.retry_after is None else {"Retry-After": str(no.retry_after)}
            await answer_json(send, no.status, {"status": "refused", "reason": no.reason}, headers)
            return
        if body is None:
            return  # the sender went away, or took too long
        given = False

        async def whole() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, whole, send)

    def _count(self, scope: Scope) -> None:
        wait = self.rates.wait(_bucket(self.proxies.client(scope)))
        if wait:
            raise _Refused(429, "too many deliveries from this address", wait)

    async def _body(self, scope: Scope, receive: Receive) -> bytes | None:
        too_large = _Refused(413, f"the body is larger than {self.max_body} bytes")
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not declared.isdigit() or len(declared) > 15 or int(declared) > self.max_body:
            raise too_large
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        first: bytes = message.get("body", b"")
        if not message.get("more_body") and len(first) <= self.max_body:
            return first
        return await self._rest(bytearray(first), receive, too_large)

    async def _rest(self, body: bytearray, receive: Receive, too_large: _Refused) -> bytes | None:
        held, more = 0, True
        try:
            while True:
                self.waiting.bytes += len(body) - held
                held = len(body)
                if held > self.max_body:
                    raise too_large
                if self.waiting.bytes > self.waiting.limit:
                    raise _Refused(503, "too much is arriving at once", 5)
                if not more:
                    return bytes(body)
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                body += message.get("body", b"")
                more = message.get("more_body", False)
        finally:
            self.waiting.bytes -= held


async def answer_json(send: Send, status: int, content: dict[str, Any], headers: dict[str, str] | None = None) -> None:
    """One JSON answer with its length, without a framework's response object."""
    body = json.dumps(content, ensure_ascii=False).encode()
    lines = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    lines += [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})
