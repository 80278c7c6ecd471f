"""A disk that fails when it is told to: beneath SQLite, where it calls the operating system.

The program's own modules are as they are. SQLite lets its system calls be replaced (`xSetSystemCall`), as its own tests
do it.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import errno
import struct
from collections.abc import Callable
from mmap import mmap
from typing import Any

WRITES = 8
"""Where in the shared memory it stands how often SQLite has written since the last order."""
_PWRITE = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64, use_errno=True
)


class _Vfs(ctypes.Structure):
    """`sqlite3_vfs`, as far as the system calls."""

    _fields_ = [
        ("version", ctypes.c_int), ("file", ctypes.c_int), ("path", ctypes.c_int), ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p), ("data", ctypes.c_void_p), ("methods", ctypes.c_void_p * 13),
        ("set", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)),
        ("get", ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)),
    ]  # fmt: skip


class Disk:
    """`order("ENOSPC 3 5")`: the third to fifth write from now fail so. An empty order: it is well again.

    A failing write writes a part first, as a disk does that becomes full.
    """

    def __init__(self, shared: mmap) -> None:
        self._shared = shared
        self._error = self._first = self._last = self._count = 0
        self._kept: list[Any] = []  # what C calls must not be collected

    def order(self, words: str) -> None:
        name, first, last = words.split() if words.strip() else ("EIO", "0", "0")
        self._error, self._first, self._last = getattr(errno, name), int(first), int(last)
        self._count = 0

    def install(self) -> None:
        """Replace what SQLite writes with."""
        find = ctypes.CDLL(_sqlite3.__file__).sqlite3_vfs_find
        find.restype, find.argtypes = ctypes.POINTER(_Vfs), [ctypes.c_char_p]
        vfs = find(None)
        for name in (b"pwrite", b"pwrite64"):
            real = vfs.contents.get(vfs, name)
            if real:
                call = _PWRITE(self._wrapped(_PWRITE(real)))
                self._kept.append(call)
                assert vfs.contents.set(vfs, name, ctypes.cast(call, ctypes.c_void_p)) == 0

    def _wrapped(self, real: Callable[..., int]) -> Callable[..., int]:
        def write(fd: int, data: int, size: int, offset: int) -> int:
            self._count += 1
            struct.pack_into("q", self._shared, WRITES, self._count)
            if self._first <= self._count <= self._last:
                real(fd, data, size // 2, offset)
                ctypes.set_errno(self._error)
                return -1
            return real(fd, data, size, offset)

        return write
