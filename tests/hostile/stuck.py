"""The program with a thread that hangs, as a name server's silence does: `python -m tests.hostile.stuck`."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import bot.__main__

if __name__ == "__main__":
    run = asyncio.run

    def stuck(main: Any) -> Any:
        async def hanging() -> Any:
            asyncio.get_running_loop().run_in_executor(None, time.sleep, 90)
            return await main

        return run(hanging())

    asyncio.run = stuck
    sys.exit(bot.__main__.main([]))
