"""Named places where a test ends the process as a power cut would.

`PMAGENT_FAILPOINT=publish.after_post` kills this process with SIGKILL when it reaches that place. Unset (always,
outside tests) a failpoint is one dictionary look-up. It is an environment variable and no setting on purpose:
nobody should find it in a configuration.
"""

from __future__ import annotations

import os
import signal


def failpoint(name: str) -> None:
    """End the process here, if the environment says so."""
    if os.environ.get("PMAGENT_FAILPOINT") == name:
        os.kill(os.getpid(), signal.SIGKILL)
