"""What a request may cost before we know who sent it: how many, how large. How long is `bot.http.protocol`'s affair.

Rates are written and counted as the package `limits` does it. What we refuse early is read on and thrown away by the
server, so that the sender, who is still sending, sees our answer and no reset.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from limits import parse_many
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Scope

MAX_BODY = 5 * 2**20
"""Bytes of a request's body."""
MAX_WAITING = 128 * 2**20
"""Bytes of bodies that may be in hand at one time, over all requests."""
MANY_CLIENTS = 2000
"""Clients with a window of their own; those that come when there are more share one. Each delivery looks at all."""


class RequestRefused(Exception):
    """Nothing was stored. `status` and `reason` are the answer; `retry_after`: seconds until it is welcome again."""

    def __init__(self, status: int, reason: str, retry_after: int | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after

    def answer(self, *, close: bool = False) -> JSONResponse:
        """`close`: with it the connection ends."""
        headers = {"Retry-After": str(self.retry_after)} if self.retry_after is not None else {}
        headers |= {"Connection": "close"} if close else {}
        return JSONResponse({"status": "refused", "reason": self.reason}, self.status, headers)


class Rates:
    """Counts deliveries per client. `rule` is a rate such as `6000/minute`, or several with `;`. Empty: no limit.

    A window begins with a client's first delivery and holds the amount; then the next begins. What is refused counts.
    """

    def __init__(self, rule: str) -> None:
        self._items = parse_many(rule) if rule.strip() else []
        self._storage = MemoryStorage()
        self._limiter = FixedWindowRateLimiter(self._storage)

    async def wait(self, client: str) -> int:
        """Count one delivery of this client. 0: go on; else the seconds until the next one is welcome."""
        waits = [0]
        for item in self._items:
            counted = self._storage.storage
            who = client if len(counted) < MANY_CLIENTS or item.key_for(client) in counted else "others"
            if not await self._limiter.hit(item, who):
                until = (await self._limiter.get_window_stats(item, who)).reset_time
                waits.append(max(1, math.ceil(until - time.time())))
        return max(waits)


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


@lru_cache(maxsize=1024)  # the same few senders and proxies, again and again
def _address(text: str) -> IPv4Address | IPv6Address | None:
    if len(text) > 100:
        return None
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


@lru_cache(maxsize=1024)
def _bucket(client: str) -> str:
    # One household or server has a whole /64 of IPv6 addresses.
    return str(IPv6Network((client, 64), strict=False)) if ":" in client else client


class Limits:
    """All endpoints' limits together. `rule`: see `Rates`; `trusted`: see `Proxies`."""

    def __init__(
        self, rule: str, trusted: Iterable[str], *, max_body: int = MAX_BODY, max_waiting: int = MAX_WAITING
    ) -> None:
        self.rates = Rates(rule)
        self.proxies = Proxies(trusted)
        self.max_body = max_body
        self.max_waiting = max_waiting
        self.waiting = 0

    async def count(self, request: Request) -> None:
        """Count a request of its client. Raises `RequestRefused` (429)."""
        if wait := await self.rates.wait(_bucket(self.proxies.client(request.scope))):
            raise RequestRefused(429, "too many deliveries from this address", wait)

    async def body(self, request: Request) -> bytes:
        """The whole body, which is in hand until `done`. Raises `RequestRefused` (413, 503), `ClientDisconnect`."""
        declared = request.headers.get("content-length", "0")
        if not (declared.isascii() and declared.isdigit()) or len(declared) > 15 or int(declared) > self.max_body:
            raise self._too_large()
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                self.waiting += len(chunk)
                if len(body) > self.max_body:
                    raise self._too_large()
                if self.waiting > self.max_waiting:
                    raise RequestRefused(503, "too much is arriving at once", 5)
        except BaseException:
            self.done(body)
            raise
        return bytes(body)

    def done(self, body: bytes | bytearray) -> None:
        """This body is in hand no more."""
        self.waiting -= len(body)

    def _too_large(self) -> RequestRefused:
        return RequestRefused(413, f"the body is larger than {self.max_body} bytes")
