"""How many connections the server has at one time, and which one gives way to a new one.

There are never more than the process may have files for, with enough left for the store and the services. At the cap,
the one gives way that costs least: whoever was told goodbye already, then who is idle, then whoever keeps us waiting
longest for their request, or for the reading of our answer. A request that is here whole is carried out.
"""

from __future__ import annotations

import contextlib
import resource
from typing import Protocol

MAX_CONNECTIONS = 2000
"""Connections, however many files there are: each may hold a part of a body in memory."""
FILES_WANTED = 8192
FILES_KEPT = 300
"""Files for everything else: 120 threads' and other clients' connections, the store, and who is being hung up on."""
PARTING = 1 / 4
"""Connections that may linger after their last word, beside those that count and as a part of those."""
BACKLOG = 16
"""Connections that are accepted in one turn of the loop, before one of them can make another one give way."""


def raise_file_limit() -> int:
    """Let this process have as many files as it is allowed to, up to what it can use; how many that are."""
    try:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    except OSError:
        return 1024
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(FILES_WANTED, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return FILES_WANTED if soft == resource.RLIM_INFINITY else soft
    with contextlib.suppress(OSError, ValueError):  # a sandbox may forbid it
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft


def most_connections(files: int) -> int:
    """How many connections fit into so many files. With few of them, a third."""
    return min(MAX_CONNECTIONS, max(int((files - FILES_KEPT) / (1 + PARTING)), files // 3))


class GivesWay(Protocol):
    """A connection, as far as it can be asked to end."""

    def give_way(self) -> None: ...

    def end(self) -> None: ...


class ConnectionLimit:
    """The connections of one server, by what they are doing; each kind in the order in which it began to."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._working: dict[GivesWay, None] = {}
        self._idle: dict[GivesWay, None] = {}
        self._awaited: dict[GivesWay, None] = {}
        self._parting: dict[GivesWay, None] = {}

    def __len__(self) -> int:
        return len(self._working) + len(self._idle) + len(self._awaited)

    def make(self) -> None:
        """Have one give way where there are too many: the newest itself only when all others are being carried out."""
        if len(self) > self.most:
            next(iter(self._idle or self._awaited or self._working)).give_way()

    def leave(self, connection: GivesWay) -> None:
        for kind in (self._working, self._idle, self._awaited, self._parting):
            kind.pop(connection, None)

    def working(self, connection: GivesWay) -> None:
        """Its request is here whole."""
        self._is(self._working, connection)

    def idle(self, connection: GivesWay) -> None:
        """All its requests are answered."""
        self._is(self._idle, connection)

    def awaited(self, connection: GivesWay) -> None:
        """We wait for it: for a request, or until it reads."""
        self._is(self._awaited, connection)

    def parting(self, connection: GivesWay) -> None:
        """It was hung up on and may read why, for as long as there are not too many of these."""
        self._is(self._parting, connection)
        if len(self._parting) > self.most * PARTING:
            oldest = next(iter(self._parting))
            del self._parting[oldest]  # now: it is closed in a later turn of the loop, and others come in this one
            oldest.end()

    def _is(self, kind: dict[GivesWay, None], connection: GivesWay) -> None:
        if connection not in kind and connection not in self._parting:
            self.leave(connection)
            kind[connection] = None
