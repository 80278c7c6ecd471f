"""A disk that fails when it is told to, and that says how much of the journal is on it: around `os` of the program.

The program's own modules are as they are; what they call is wrapped before they are loaded.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable
from mmap import mmap
from typing import Any

SYNCED = 8
"""Where in the shared memory the size of the file that was synced last stands, as of the moment of that sync."""


class Disk:
    """`order("pwrite ENOSPC 3 5")`: the third to fifth `os.pwrite` from now fail so. An empty order: it is well again.

    A failing `pwrite` writes a part first, as a disk does that becomes full.
    """

    def __init__(self) -> None:
        self._call, self._error, self._first, self._last = "", 0, 0, 0
        self._count = 0

    def order(self, words: str) -> None:
        call, name, first, last = words.split() if words.strip() else ("", "EIO", "0", "0")
        self._call, self._error, self._first, self._last = call, getattr(errno, name), int(first), int(last)
        self._count = 0

    def install(self, shared: mmap) -> None:
        """Wrap what the journal writes with."""
        sync = os.fdatasync

        def noting(fd: int) -> None:
            size = os.fstat(fd).st_size
            sync(fd)
            struct.pack_into("q", shared, SYNCED, size)

        os.fdatasync = self._wrapped("fdatasync", noting)
        os.fsync = self._wrapped("fsync", os.fsync)
        os.ftruncate = self._wrapped("ftruncate", os.ftruncate)
        pwrite = os.pwrite

        def half(fd: int, data: Any, offset: int) -> None:
            pwrite(fd, bytes(data)[: len(data) // 2], offset)

        os.pwrite = self._wrapped("pwrite", pwrite, half)

    def _wrapped(self, name: str, real: Callable[..., Any], instead: Callable[..., Any] | None = None) -> Any:
        def call(*arguments: Any) -> Any:
            if self._call == name:
                self._count += 1
                if self._first <= self._count <= self._last:
                    if instead:
                        instead(*arguments)
                    raise OSError(self._error, os.strerror(self._error))
            return real(*arguments)

        return call
