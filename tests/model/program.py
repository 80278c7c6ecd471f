"""The whole program with reins: `python -m tests.model.program` in place of `python -m bot`.

Nothing of the program is changed. What it is given is: a clock whose hands another process can move
(`PMAGENT_REINS`, see `tests.model.reins`), a failpoint that can be set while it runs, a disk that fails on demand, and
time that passes faster (`PMAGENT_TEST_SPEED`), so that Slack's one message a second does not make ten thousand steps
take a day.
"""

from __future__ import annotations

import os
import selectors
import sys
import time


def quicken(factor: float) -> type[selectors.DefaultSelector]:
    """Make this process's monotonic time pass `factor` times as fast; the selector that waits accordingly.

    Before anything is imported that reads the time. Sockets and threads wait in real time.
    """
    real, begun = time.monotonic, time.monotonic()
    time.monotonic = lambda: begun + (real() - begun) * factor

    class Quick(selectors.DefaultSelector):  # type: ignore[valid-type,misc]  # chosen by the platform
        def select(self, timeout: float | None = None) -> object:
            return super().select(timeout / factor if timeout and timeout > 0 else timeout)

    return Quick


def main() -> int:
    """As `python -m bot run`, with the same exit codes."""
    selector = quicken(float(os.environ.get("PMAGENT_TEST_SPEED", "1")))
    from tests.model.reins import ReinedClock, obey

    reins = os.environ["PMAGENT_REINS"]
    obey(reins)  # wraps the disk, before anything is loaded that writes to it
    import asyncio

    from bot.app import serve
    from bot.errors import UserError
    from bot.settings import load
    from bot.store.embedded.lock import DataFolderLocked

    try:
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector())) as runner:
            return runner.run(serve(load(), ReinedClock(reins)))
    except DataFolderLocked as error:
        sys.stderr.write(f"{error}\n")
        return 3
    except (UserError, OSError) as error:
        sys.stderr.write(f"PM Agent cannot start: {error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
