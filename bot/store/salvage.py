"""The audit trail as it stands in the file, read without trust: for `audit verify`, which must also speak about a file
that the store refuses to open.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from bot.errors import UserError
from bot.store import Record
from bot.store.audit import Unreadable
from bot.store.journal import NAME, Journal

_MENTION = b'["audit",'


def audit_trail(folder: Path, note: Callable[[str], None]) -> Iterator[Record | Unreadable]:
    """Every audit record in the order of the file; `Unreadable` in place of what cannot be read.

    `note` is told, in sentences, what is wrong besides. A line without its end is being written now and is left out.
    Nothing at all for a folder without data. Raises `UserError` when the file cannot be read.
    """
    path = folder / NAME
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}.") from error
    with file:
        head = file.readline()
        if not head.startswith(b'{"pmagent":"journal"'):
            yield Unreadable(f"{path} does not begin as our journal does")
        for number, raw in enumerate(file, start=2):
            if not raw.endswith(b"\n"):
                return
            try:
                puts = [(table, record) for table, record in json.loads(raw).get("put", ())]
            except (ValueError, TypeError, AttributeError):
                if _MENTION in raw:
                    yield Unreadable(f"line {number} of {path.name} cannot be read")
                else:
                    note(f"Line {number} of {path.name} cannot be read.")
                continue
            if Journal.parse(raw, 0) is None:
                note(f"Line {number} of {path.name} is not what was written: its checksum does not match.")
            for table, record in puts:
                if table == "audit":
                    yield record if isinstance(record, dict) else Unreadable(f"line {number} holds no audit record")
