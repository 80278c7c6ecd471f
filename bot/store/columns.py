"""One value of each record of a table, kept so that a million of them cost little: by row number, in arrays.

`Hashes` answers "which rows have this value" for values of which there are many (ids, issues): 16 bytes a row, the
same effort with ten rows and with a million, the newest first. `Codes` does so for values of which there are few
(states, kinds): a byte a row, which the processor looks through at gigabytes a second. A plain dict of a million short
strings takes 150 MB, a list of rows for each of them as much again.

Neither keeps the values themselves. A hash of 64 bits stands for one in `Hashes`, so that whoever reads the record
compares it; other processes' strings have other hashes, so nobody outside can choose ones that collide. Values that
cannot be hashed or coded (lists, large numbers) are `odd`: with one of them, a column is not to be trusted.

`Lists` answers "which rows have this among their values", for a small table.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any

NONE = 0
"""The hash and the code of "no value"."""
_EXACT = 1 << 53  # integers up to here are the same number as a float
_ODD = 255
_ROWS_A_BUCKET = 2
_MOST_NEW = 4096  # rows that are linked in one step: about two milliseconds


def is_plain(value: object) -> bool:
    """Whether a value can be looked up by its hash: texts, booleans, and numbers that every JSON reader reads alike."""
    return isinstance(value, str) or (isinstance(value, int | float) and -_EXACT < value < _EXACT)


class Hashes:
    """Rows by the hash of their value: linear hashing, with chains through an array, newest row first.

    Each bucket's chain descends by row number. A new row costs nothing until somebody looks something up: then all
    that are new are linked in one go. The table grows by one bucket at a time, so that takes as long as they are many,
    never as long as the table is large; `relieve` sees to it that they are not many.
    """

    def __init__(self) -> None:
        self.hashes = array("q")
        self.odd: set[int] = set()
        self._next = array("I")  # by row, of those that are linked: the next older one of its bucket, plus one; 0: none
        self._heads = array("I", bytes(32))  # by bucket: its newest row, plus one
        self._low = 7  # a hash's bucket is `hash & high`, or `hash & low` where that bucket is not there yet
        self._high = 15
        self._room = 8 * _ROWS_A_BUCKET

    def __len__(self) -> int:
        return len(self.hashes)

    @staticmethod
    def of(value: Any) -> int:
        """The hash that stands for a value; `NONE` for None. Raises TypeError for what is not plain."""
        if type(value) is str:
            return hash(value) or 1
        if value is None:
            return NONE
        if not is_plain(value):
            raise TypeError
        return hash(value) or 1

    def told(self, row: int, value: Any) -> int:
        """The hash for a row's value; notes a row whose value has none."""
        if is_plain(value) or value is None:
            self.odd.discard(row)
            return self.of(value)
        self.odd.add(row)
        return NONE

    def link(self) -> None:
        """Build the table of all rows at once, after `hashes` was filled by hand."""
        size = 8
        while size * 2 * _ROWS_A_BUCKET <= len(self.hashes):
            size *= 2
        self._heads = heads = array("I", bytes(4 * size))
        self._next = following = array("I", bytes(4 * len(self.hashes)))
        self._low, self._high, self._room = size - 1, size * 2 - 1, size * _ROWS_A_BUCKET
        low = self._low
        for row, hashed in enumerate(self.hashes):
            if hashed:
                bucket = hashed & low
                following[row] = heads[bucket]
                heads[bucket] = row + 1

    def append(self, hashed: int) -> None:
        """The next row's value."""
        self.hashes.append(hashed)

    def extend(self, values: Sequence[int | None]) -> None:
        """The next rows' values; None for one that has no hash."""
        if None in values:
            start = len(self.hashes)
            self.odd.update(row for row, value in enumerate(values, start) if value is None)
            values = [value or NONE for value in values]
        self.hashes.extend(values)  # type: ignore[arg-type]  # there is no None in it any more

    def relieve(self) -> bool:
        """Link some of what is new if it is so much that the next look-up would wait for it. Whether it was."""
        linked = len(self._next)
        if len(self.hashes) - linked < _MOST_NEW:
            return False
        self._link_new(linked + _MOST_NEW)
        return True

    def _link_new(self, end: int) -> None:
        """Link the rows before `end` that are not."""
        hashes, following = self.hashes, self._next
        start = len(following)
        if end > self._room:
            self._split(end // _ROWS_A_BUCKET + 1)
        following.frombytes(bytes(following.itemsize * (end - start)))
        heads, low, high = self._heads, self._low, self._high
        size = len(heads)
        for row in range(start, end):
            hashed = hashes[row]
            if hashed:
                bucket = hashed & high
                if bucket >= size:
                    bucket &= low
                following[row] = heads[bucket]
                heads[bucket] = row + 1

    def put(self, row: int, hashed: int) -> None:
        """Another value for a row."""
        if self.hashes[row] == hashed:
            return
        if row >= len(self._next):
            self.hashes[row] = hashed
            return
        self._unlink(row)
        self.hashes[row] = hashed
        if not hashed:
            return
        heads, following, bucket = self._heads, self._next, self._bucket(hashed)
        newer, number = 0, heads[bucket]
        while number > row + 1:
            newer, number = number, following[number - 1]
        following[row] = number
        if newer:
            following[newer - 1] = row + 1
        else:
            heads[bucket] = row + 1

    def clear(self, row: int) -> None:
        """A row that is gone for good: it stays in its chain until its bucket is split, for a chain may be long."""
        self.hashes[row] = NONE
        self.odd.discard(row)

    def rows(self, hashed: int) -> Iterator[int]:
        """The rows with this hash, newest first. The table must not change meanwhile."""
        hashes, following = self.hashes, self._next
        if len(hashes) > len(following):
            self._link_new(len(hashes))
        number = self._heads[self._bucket(hashed)]
        while number:
            if hashes[number - 1] == hashed:
                yield number - 1
            number = following[number - 1]

    def first(self, hashed: int) -> int:
        """The newest row with this hash, or -1."""
        hashes, following = self.hashes, self._next
        if len(hashes) > len(following):
            self._link_new(len(hashes))
        bucket = hashed & self._high
        number = self._heads[bucket if bucket < len(self._heads) else bucket & self._low]
        while number:
            if hashes[number - 1] == hashed:
                return number - 1
            number = following[number - 1]
        return -1

    def _bucket(self, hashed: int) -> int:
        bucket = hashed & self._high
        return bucket if bucket < len(self._heads) else bucket & self._low

    def _unlink(self, row: int) -> None:
        hashed = self.hashes[row]
        if not hashed:
            return
        following, bucket = self._next, self._bucket(hashed)
        newer, number = 0, self._heads[bucket]
        while number != row + 1:
            newer, number = number, following[number - 1]
        if newer:
            following[newer - 1] = following[row]
        else:
            self._heads[bucket] = following[row]
        following[row] = 0

    def _split(self, size: int) -> None:
        """Grow to so many buckets, one after another: each gets the rows of another one whose hash has the next bit."""
        heads, following, hashes = self._heads, self._next, self.hashes
        low, high = self._low, self._high
        for new in range(len(heads), size):
            old, bit = new & low, low + 1
            number, heads[old] = heads[old], 0
            heads.append(0)
            stay = move = 0
            while number:
                hashed = hashes[number - 1]
                if not hashed:
                    pass  # a row that is gone
                elif hashed & bit:
                    if move:
                        following[move - 1] = number
                    else:
                        heads[new] = number
                    move = number
                else:
                    if stay:
                        following[stay - 1] = number
                    else:
                        heads[old] = number
                    stay = number
                number = following[number - 1]
            if stay:
                following[stay - 1] = 0
            if move:
                following[move - 1] = 0
            if new == high:
                low, high = high, high * 2 + 1
        self._low, self._high = low, high
        self._room = _ROWS_A_BUCKET * len(heads)


class Codes:
    """Rows by a value of which there are few: each value has a number up to 254, and 255 stands for all others."""

    def __init__(self) -> None:
        self.codes = bytearray()
        self.counts = [0] * 256
        self._numbers: dict[Any, int] = {None: NONE}

    def __len__(self) -> int:
        return len(self.codes)

    def of(self, value: Any) -> int:
        """The code that stands for a value; a new one where it is the first of its kind."""
        try:
            return self._numbers[value]
        except KeyError:
            if is_plain(value) and len(self._numbers) < _ODD:
                return self._numbers.setdefault(value, len(self._numbers))
        except TypeError:
            pass  # a list
        return _ODD

    @property
    def has_odd(self) -> bool:
        """Whether a row has a value that has no code of its own."""
        return self.counts[_ODD] > 0

    def asked(self, value: Any) -> int:
        """The code of a value that is looked for; 255, which no row has, for one that no row has."""
        return self._numbers.get(value, _ODD)

    def link(self) -> None:
        """Count, after `codes` was filled by hand."""
        self.counts = [self.codes.count(code) for code in range(256)]

    def append(self, code: int) -> None:
        """The next row's value."""
        self.codes.append(code)
        self.counts[code] += 1

    def extend(self, values: Sequence[Any]) -> None:
        """The next rows' values, not yet coded."""
        for code in map(self.of, values):
            self.codes.append(code)
            self.counts[code] += 1

    def put(self, row: int, code: int) -> None:
        """Another value for a row."""
        self.counts[self.codes[row]] -= 1
        self.codes[row] = code
        self.counts[code] += 1

    def rows(self, code: int, *, newest_first: bool = False) -> Iterator[int]:
        """The rows with this code. The table must not change meanwhile."""
        codes = self.codes
        if newest_first:
            row = codes.rfind(code)
            while row >= 0:
                yield row
                row = codes.rfind(code, 0, row)
        else:
            row = codes.find(code)
            while row >= 0:
                yield row
                row = codes.find(code, row + 1)


class Lists:
    """Rows by the members of a list, for a small table."""

    def __init__(self) -> None:
        self._members: dict[int, tuple[str, ...]] = {}
        self.rows: dict[str, set[int]] = {}

    def put(self, row: int, members: tuple[str, ...]) -> None:
        for member in self._members.pop(row, ()):
            self.rows[member].discard(row)
            if not self.rows[member]:
                del self.rows[member]
        if members:
            self._members[row] = members
        for member in members:
            self.rows.setdefault(member, set()).add(row)
