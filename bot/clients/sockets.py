"""The sockets of each thread, so that a blocking call can be ended from outside.

A thread that waits for a byte cannot be told to stop: `requests` has no such call, and closing its session closes only
the connections that are not in use. Shutting the socket down ends the wait at once. Without it a server that drips
would hold a thread for as long as it likes, and enough of them everything that is asked of that service.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from requests import Session
    from requests.adapters import HTTPAdapter

    from bot.domain.leases import Deadline

_loading = threading.Lock()
_open: dict[int, WeakSet[socket.socket]] = {}
_ended: set[int] = set()
_this_thread = threading.local()
_lock = threading.Lock()
"""Over both: a set that grows while the loop reads it is a RuntimeError (one end in some 100,000, under stress)."""


def session() -> Session:
    """A `requests` session whose every connection is known here. Proxies of the SOCKS kind are left out.

    Whoever needs another library that stands on requests loads it after this. Two threads that load them at the same
    time can lock each other out: `import requests.exceptions` locks that module and then `requests`, and what
    `requests` imports while it is loaded the other way round. Python ends that with an error in one of them.
    """
    with _loading:
        from requests import Session

        adapter = _adapter()
    made = Session()
    for scheme in ("http://", "https://"):
        made.mount(scheme, adapter())
    return made


@functools.cache
def _adapter() -> type[HTTPAdapter]:
    # In a function: the library takes 0.3 s to load.
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    class Plain(HTTPConnection):
        def connect(self) -> None:
            super().connect()
            _note(self.sock)

        def send(self, data: Any) -> None:
            _send(self, super().send, data)

    class Secure(HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            _note(self.sock)

        def send(self, data: Any) -> None:
            _send(self, super().send, data)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    pools = {"http": PlainPool, "https": SecurePool}

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs)
            self.poolmanager.pool_classes_by_scheme = pools

        def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
            manager = super().proxy_manager_for(proxy, **kwargs)
            if not proxy.lower().startswith("socks"):
                manager.pool_classes_by_scheme = pools
            return manager

    return Adapter


@contextlib.contextmanager
def sending(by: Deadline | None) -> Iterator[None]:
    """Let this thread send what it sends inside until `by`, and nothing after that."""
    _this_thread.by = by
    try:
        yield
    finally:
        _this_thread.by = None


def _send(connection: Any, send: Callable[[Any], None], data: Any) -> None:
    """Send a part of a request, unless it is too late. A request of which a part is missing is none."""
    if connection.sock is None:
        connection.connect()  # which may take seconds, before the look at the clock and not after it
    by: Deadline | None = getattr(_this_thread, "by", None)
    if by is not None:
        by.check()
    send(data)


def end(thread: int) -> None:
    """Shut down the sockets that this thread (by its ident) opened: whatever it waits for, it waits no longer.

    What it opens after this, or is connecting at this moment, is shut down as soon as it is open.
    """
    with _lock:
        _ended.add(thread)
        found = list(_open.get(thread, ()))
    for sock in found:
        _shut(sock)


def _shut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        # The base class's: that of an SSL socket takes its state away under the hands of the thread that reads.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def forget(thread: int) -> None:
    """The thread ends; its number may be another's soon."""
    with _lock:
        _open.pop(thread, None)
        _ended.discard(thread)


def _note(sock: Any) -> None:
    if isinstance(sock, socket.socket):
        thread = threading.get_ident()
        with _lock:
            _open.setdefault(thread, WeakSet()).add(sock)
            ended = thread in _ended
        if ended:
            _shut(sock)
