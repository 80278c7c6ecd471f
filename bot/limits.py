"""What a request may cost before we know who sent it: how many, how large, how long. Plain ASGI.

`Gate` stands before one endpoint: rate first (429), then size, declared or not (413). The endpoint gets the body whole,
in one message. What we refuse early is read on and thrown away by the server, so that the sender, who is still
sending, sees our answer and no reset. How long a request may take is the connection's affair: `bot.server`.

Rates are written as `limits` reads them. The counting is ours: its memory storage takes 22 µs a delivery and starts a
thread every 10 ms to sweep, which is a fifth of what a whole delivery may cost; a window is two numbers.
"""

from __future__ import annotations

import json
import math
from asyncio import Future, get_running_loop
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from time import monotonic
from typing import Any

from limits import RateLimitItem, parse_many
from starlette.types import Receive, Scope, Send

MAX_BODY = 5 * 2**20
"""Bytes of a request's body."""
MAX_WAITING = 128 * 2**20
"""Bytes of bodies that may be on their way at one time, over all requests."""


_REMEMBERED = 1024
"""Addresses that are parsed and judged once."""
MANY_CLIENTS = 10_000
"""Windows of clients that are kept until the first look for those that have ended."""


class Rates:
    """Counts deliveries per client. `rule` is a rate such as `6000/minute`, or several with `;`. Empty: no limit.

    A window begins with a client's first delivery and holds the amount; then the next begins. What is refused counts.
    """

    def __init__(self, rule: str) -> None:
        self._rules = [_Rule(item) for item in parse_many(rule)] if rule.strip() else []

    def __bool__(self) -> bool:
        return bool(self._rules)

    def wait(self, client: str) -> int:
        """Count one delivery of this client. 0: go on; else the seconds until the next one is welcome."""
        now = monotonic()
        ends = [end for rule in self._rules if (end := rule.full_until(client, now))]
        return max(1, math.ceil(max(ends) - now)) if ends else 0


class _Rule:
    """One rate and the windows that are open: by client, (end, deliveries so far)."""

    def __init__(self, item: RateLimitItem) -> None:
        self.amount = item.amount
        self.seconds = item.get_expiry()
        self.windows: dict[str, tuple[float, int]] = {}
        self.many = MANY_CLIENTS

    def full_until(self, client: str, now: float) -> float:
        """Count one. 0.0: it fits; else the end of the window that is full."""
        end, count = self.windows.get(client, (0.0, 0))
        if end <= now:
            end, count = now + self.seconds, 0
            if len(self.windows) >= self.many:
                self.windows = {name: window for name, window in self.windows.items() if window[0] > now}
                self.many = max(MANY_CLIENTS, 2 * len(self.windows))
        self.windows[client] = end, count + 1
        return 0.0 if count < self.amount else end


class Proxies:
    """Works out who a request comes from. `trusted`: addresses or networks whose X-Forwarded-For is believed."""

    def __init__(self, trusted: Iterable[str]) -> None:
        self._networks = [ip_network(entry, strict=False) for entry in trusted]
        self._verdicts: dict[IPv4Address | IPv6Address, bool] = {}

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
        trusted = self._verdicts.get(address)
        if trusted is None:
            if len(self._verdicts) >= _REMEMBERED:
                self._verdicts.clear()
            trusted = self._verdicts[address] = any(address in network for network in self._networks)
        return trusted


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


@lru_cache(maxsize=_REMEMBERED)  # the same few senders and proxies, again and again
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


@lru_cache(maxsize=_REMEMBERED)
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

    def tell(self, reply: Reply) -> None:
        later = None if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        reply(self.status, {"status": "refused", "reason": self.reason}, later)


class Headers:
    """A request's headers, by lower-case name. A header that is sent twice has no value: it could mean two things."""

    __slots__ = ("_lines", "_twice", "_values")

    def __init__(self, scope: Scope) -> None:
        self._lines: list[tuple[bytes, bytes]] = scope["headers"]
        self._values: dict[bytes, bytes] = dict(self._lines)
        self._twice = len(self._values) < len(self._lines)

    def all(self, name: bytes) -> list[str]:
        if name not in self._values:
            return []
        return [value.decode("latin-1") for key, value in self._lines if key == name]

    def has(self, name: bytes) -> bool:
        return name in self._values

    def raw(self, name: bytes) -> bytes | None:
        """The last value, as it came."""
        return self._values.get(name)

    def one(self, name: bytes) -> str | None:
        value = self._values.get(name)
        if value is None or (self._twice and len(self.all(name)) > 1):
            return None
        return value.decode("latin-1")


Answer = Callable[[int, Sequence[tuple[bytes, bytes]], bytes], None]
"""Takes a whole answer: status, header lines but the length, body."""


class Reply:
    """Where the answer to one request goes: `reply(status, content)`, once, now or later."""

    __slots__ = ("_answer",)

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def __call__(self, status: int, content: dict[str, Any] | bytes, headers: dict[str, str] | None = None) -> None:
        """`content`: JSON, written already or to be written."""
        body = content if isinstance(content, bytes) else json.dumps(content, ensure_ascii=False).encode()
        self._answer(status, _JSON_LINES if headers is None else [*_JSON_LINES, *_encoded(headers)], body)


_JSON_LINES = [(b"content-type", b"application/json")]


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]


async def send_reply(send: Send, by: Callable[[Reply], None]) -> None:
    """Send what `by` replies, now or later, through ASGI."""
    answer: Future[tuple[int, Sequence[tuple[bytes, bytes]], bytes]] = get_running_loop().create_future()
    by(Reply(lambda *given: None if answer.done() else answer.set_result(given)))  # done: whoever waited was cancelled
    status, lines, body = await answer
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [*lines, length]})
    await send({"type": "http.response.body", "body": body})


Endpoint = Callable[[Headers, bytes, Reply], None]
"""What stands behind a `Gate`: a request's headers, its whole body, and where the answer goes. It waits for nothing."""
Take = Callable[[bytes], None]
"""Takes a request's whole body."""
AT_ONCE = 60_000
"""Bytes of a body up to which a request needs no task that waits for it: `bot.server` has it in memory anyway."""


class Gate:
    """Before `endpoint`: the rate of its callers, the size of their bodies. An ASGI application.

    For a small request `begin` does the same without a task, an event and two messages, a tenth of a delivery's time.
    """

    def __init__(
        self, endpoint: Endpoint, *, rates: Rates, proxies: Proxies, waiting: Waiting, max_body: int = MAX_BODY
    ) -> None:
        self.endpoint = endpoint
        self.rates = rates if rates else None
        self.proxies = proxies
        self.waiting = waiting
        self.max_body = max_body
        self.at_once = min(AT_ONCE, max_body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._count(scope)
            headers = Headers(scope)
            self._check_length(headers)
            body = await self._body(receive)
        except _Refused as no:
            await send_reply(send, no.tell)
            return
        if body is not None:  # else the sender went away, or took too long
            await send_reply(send, partial(self.endpoint, headers, body))

    def begin(self, scope: Scope, answer: Answer) -> Take | None:
        """What takes this request's body; None: its length is not known to be small, so it goes the other way."""
        headers = Headers(scope)
        declared = headers.raw(b"content-length")
        if declared is None or len(declared) > 5 or not declared.isdigit() or int(declared) > self.at_once:
            return None
        reply = Reply(answer)
        try:
            self._count(scope)
        except _Refused as no:
            no.tell(reply)
            return _drop
        endpoint = self.endpoint
        return lambda body: endpoint(headers, body, reply)

    def _count(self, scope: Scope) -> None:
        if self.rates is not None and (wait := self.rates.wait(_bucket(self.proxies.client(scope)))):
            raise _Refused(429, "too many deliveries from this address", wait)

    def _check_length(self, headers: Headers) -> None:
        declared = headers.raw(b"content-length") or b"0"
        if not declared.isdigit() or len(declared) > 15 or int(declared) > self.max_body:
            raise self._too_large()

    def _too_large(self) -> _Refused:
        return _Refused(413, f"the body is larger than {self.max_body} bytes")

    async def _body(self, receive: Receive) -> bytes | None:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body: bytes = message.get("body", b"")
        if message.get("more_body") or len(body) > self.max_body:
            return await self._rest(bytearray(body), receive)
        return body

    async def _rest(self, body: bytearray, receive: Receive) -> bytes | None:
        held, more = 0, True
        try:
            while True:
                self.waiting.bytes += len(body) - held
                held = len(body)
                if held > self.max_body:
                    raise self._too_large()
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


def _drop(body: bytes) -> None:
    """Takes the body of a request that was answered before."""
