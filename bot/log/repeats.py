"""Repeated warnings and errors: each is told once, then counted, and the counts are told at the end of every minute.

So neither a fault that goes on nor a sender who provokes it can fill the disk, whichever library complains. What is the
same is decided by the place: who says it, and which error was raised where. What is said may differ (an event's id, a
reason), so the first few different lines of one place pass in each minute, and all further ones are counted with it:
whoever floods a place does not hide for good what else is said there. Memory is bounded: of more than `MAX_PLACES` in
one minute, the others are counted together.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

MINUTE = 60.0
MAX_DIFFERENT_LINES = 10
"""Lines of one place that say different things and pass in a minute before the place is only counted."""
MAX_KNOWN_LINES = 1000
"""Lines of one place that are known again later."""
MAX_PLACES = 500


@dataclass
class LogSource:
    """Where something is said. `what` is said first; `passed`, `again`: what since the last count was told."""

    logger: str
    level: int
    what: str
    ends: float
    words: set[int] = field(default_factory=set)
    passed: int = 0
    again: int = 0


class Repeats:
    """Knows what was said in this minute. `tell` is called, on a thread, with a place and its count."""

    def __init__(self, tell: Callable[[LogSource, int], None], *, seconds: float = MINUTE) -> None:
        self._tell = tell
        self._seconds = seconds
        self._places: dict[Hashable, LogSource] = {}
        self._lock = threading.RLock()  # a finalizer may log, in the middle of this, on the same thread
        self._timer: threading.Timer | None = None

    def again(self, logger: str, level: int, where: Hashable, words: Hashable, what: str) -> bool:
        """Whether this was said before: then it is counted, and not to be logged.

        `where` tells places of one logger apart, `words` what one of them says; `what` names it beside its count.
        """
        with self._lock:
            place = self._place(logger, level, where, what)
            known = hash(words)
            if known not in place.words and place.passed < MAX_DIFFERENT_LINES:
                if len(place.words) >= MAX_KNOWN_LINES:
                    place.words.clear()
                place.words.add(known)
                place.passed += 1
                return False
            place.again += 1
            if self._timer is None:
                self._timer = threading.Timer(self._seconds, self.tell)
                self._timer.daemon = True
                self._timer.start()
            return True

    def tell(self) -> None:
        """Tell all counts there are. Who is counted once more has its first lines in the log, so they stay known."""
        with self._lock:
            self._timer = None
            told = [(place, place.again) for place in self._places.values() if place.again]
            for place, _ in told:
                place.again, place.passed, place.ends = 0, 0, time.monotonic() + self._seconds
        for place, count in told:
            self._tell(place, count)

    def _place(self, logger: str, level: int, where: Hashable, what: str) -> LogSource:
        now, key = time.monotonic(), (logger, level, where)
        if key not in self._places and len(self._places) >= MAX_PLACES:
            over = [old for old, place in self._places.items() if place.ends <= now and not place.again]
            for old in over:
                del self._places[old]
            if not over:
                logger, what, key = __name__, "others", ("", level, None)
        place = self._places.get(key)
        if place is None or (place.ends <= now and not place.again):
            place = self._places[key] = LogSource(logger, level, what[:200], now + self._seconds)
        return place
