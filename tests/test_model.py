"""The model: events, duplicates, reorderings, clicks, switches, crashes and clock jumps against the whole program.

`tests/model` has the deeds and what must hold. Here a few short runs, always the same; the long one is
`pytest -m soak tests/test_model.py`, steered by `SOAK_STEPS`, `SOAK_SECONDS` and `SOAK_SEED` (each batch prints the
seed with which it can be run alone).
"""

from __future__ import annotations

import logging
import os
import time

import pytest
from hypothesis import HealthCheck, Phase, seed, settings

from tests.model.machine import COUNTS, Machine, run

SLOW = list(HealthCheck)  # starting a process is slow, and meant
STEPS, SECONDS = 10_000, 3600.0
RUNS, RUN = 11, 100
"""A seed is so many runs of so many steps, each with a fresh store. The first is hypothesis's simplest one."""


def few(runs: int) -> settings:
    """So many runs of twenty steps, always the same."""
    return settings(
        max_examples=runs, stateful_step_count=20, derandomize=True, database=None, deadline=None,
        suppress_health_check=SLOW, phases=[Phase.generate], print_blob=False,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet_standins(caplog: pytest.LogCaptureFixture) -> None:
    # A killed program leaves requests without their end; aiohttp logs each of them as an error.
    caplog.set_level(logging.CRITICAL, "aiohttp.server")


@pytest.mark.timeout(300)
def test_a_few_short_runs_of_the_model() -> None:
    run(Machine, few(3))


class SharedMachine(Machine):
    """Two processes on one database."""

    processes = 2


@pytest.mark.soak  # 20 to 50 s; `tests/several` has what it found
@pytest.mark.timeout(300)
def test_a_short_run_of_the_model_with_two_processes() -> None:
    run(SharedMachine, few(1))


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_ten_thousand_steps(capsys: pytest.CaptureFixture[str]) -> None:
    first = int(os.environ.get("SOAK_SEED", "1"))
    wanted, seconds = int(os.environ.get("SOAK_STEPS", STEPS)), float(os.environ.get("SOAK_SECONDS", SECONDS))
    batch = settings(
        max_examples=RUNS, stateful_step_count=RUN, database=None, deadline=None, suppress_health_check=SLOW,
        phases=[Phase.generate], print_blob=False, report_multiple_bugs=False,
    )  # fmt: skip
    COUNTS.clear()
    begun, number = time.monotonic(), first
    end = {"most": wanted, "ends": begun + seconds}
    while COUNTS["steps"] < wanted and time.monotonic() - begun < seconds:
        with capsys.disabled():
            print(f"seed {number}: {COUNTS['steps']} steps, {time.monotonic() - begun:.0f} s", flush=True)  # noqa: T201 - whoever waits for it
        run(seed(number)(type("Machine", (Machine,), end)), batch)
        number += 1
    told = ", ".join(f"{count} {name}" for name, count in sorted(COUNTS.items()))
    with capsys.disabled():
        print(f"model: seeds {first} to {number - 1}, {time.monotonic() - begun:.0f} s: {told}", flush=True)  # noqa: T201 - the result
    assert COUNTS["steps"] >= wanted, f"time was over after {COUNTS['steps']} steps; go on with SOAK_SEED={number}"
