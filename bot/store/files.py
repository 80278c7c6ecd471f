"""Files that are whole and durable when they have their name."""

from __future__ import annotations

import os
from pathlib import Path


def appear(part: Path, path: Path) -> None:
    """Give a finished file its name. Raises FileExistsError where that is taken."""
    try:
        path.hardlink_to(part)
    except FileExistsError:
        raise
    except OSError:  # the file system has no hard links: take the name first, then replace our own empty file
        path.touch(mode=0o600, exist_ok=False)
        part.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Make a file's content, or a folder's names, durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
