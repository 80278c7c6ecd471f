"""Leases: whether somebody is still at work on what a record tells of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bot.domain.leases import Lease, Leases

NOW = datetime(2026, 11, 30, 9, tzinfo=UTC)


class Clock:
    """A clock that is set by hand."""

    at = NOW

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return 0.0


def test_a_lease_lives_until_its_time_or_the_end_of_the_attempt() -> None:
    clock = Clock()
    leases = Leases(clock, alone=False)
    with leases.take(60.0) as lease:
        assert leases.left(lease) == 60.0
        clock.at += timedelta(seconds=45)
        assert leases.left(lease) == 15.0
        clock.at += timedelta(seconds=45)
        assert leases.left(lease) == 0.0
        clock.at = NOW
        with leases.take(60.0) as another:
            assert another.owner != lease.owner
        assert (leases.left(lease), leases.left(another)) == (60.0, 0.0)
    assert leases.left(lease) == 0.0
    assert leases.left(None) == 0.0


def test_another_process_is_waited_for_unless_there_can_be_none() -> None:
    theirs = Lease(owner="another.1", until=NOW + timedelta(seconds=60))
    assert Leases(Clock(), alone=False).left(theirs) == 60.0
    assert Leases(Clock(), alone=True).left(theirs) == 0.0
