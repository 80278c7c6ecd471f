"""Leases: whether somebody is still at work on what a record tells of, and until when one may send under one's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bot.domain.leases import MARGIN, Deadline, Lease, Leases
from bot.errors import TooLate

NOW = datetime(2026, 11, 30, 9, tzinfo=UTC)


class Clock:
    """A clock that is set by hand."""

    at = NOW
    steady = 0.0

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.steady


def test_a_lease_lives_until_its_time_or_the_end_of_the_attempt() -> None:
    clock = Clock()
    leases = Leases(clock, alone=False)
    with leases.take(60.0) as held:
        lease = held.renew()
        assert leases.left(lease) == 60.0
        clock.at += timedelta(seconds=45)
        assert leases.left(lease) == 15.0
        clock.at += timedelta(seconds=45)
        assert leases.left(lease) == 0.0
        clock.at = NOW
        with leases.take(60.0) as second:
            another = second.renew()
            assert another.owner != lease.owner
            assert (held.left(another), held.left(lease)) == (60.0, 0.0)  # nobody waits for himself
        assert (leases.left(lease), leases.left(another)) == (60.0, 0.0)
    assert leases.left(lease) == 0.0
    assert leases.left(None) == 0.0


def test_another_process_is_waited_for_unless_there_can_be_none() -> None:
    theirs = Lease(owner="another.1", until=NOW + timedelta(seconds=60))
    assert Leases(Clock(), alone=False).left(theirs) == 60.0
    assert Leases(Clock(), alone=True).left(theirs) == 0.0


def test_what_is_sent_under_a_lease_is_over_before_the_lease_is() -> None:
    clock = Clock()
    with Leases(clock, alone=False).take(60.0) as held:
        held.renew()
        assert held.by.left() == 60.0 - MARGIN
        clock.at += timedelta(seconds=50)
        with pytest.raises(TooLate):
            held.by.check()
        held.renew()
        held.by.check()


@pytest.mark.parametrize(("wall", "steady"), [(11, 0), (0, 11), (-3600, 11), (11, -1)])
def test_a_deadline_is_over_when_either_clock_says_so(wall: int, steady: int) -> None:
    """While a machine sleeps one clock stands still, and the other may be set back."""
    clock = Clock()
    deadline = Deadline(clock, 10.0)
    deadline.check()
    clock.at += timedelta(seconds=wall)
    clock.steady += steady
    with pytest.raises(TooLate):
        deadline.check()
