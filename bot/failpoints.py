"""Named places where a test ends the process as a power cut would.

`PMAGENT_FAILPOINT=publish.after_post` kills this process with SIGKILL when it reaches that place. Unset (always,
outside tests) a failpoint is one look at a constant. It is an environment variable and no setting on purpose: nobody
should find it in a configuration. A test that names the place later, in a running process, starts it with a blank one.
"""

from __future__ import annotations

import os
import signal

_TESTED = "PMAGENT_FAILPOINT" in os.environ  # looking it up takes longer than much of what stands around failpoints


def failpoint(name: str) -> None:
    """End the process here, if the environment says so."""
    if _TESTED and os.environ["PMAGENT_FAILPOINT"] == name:
        os.kill(os.getpid(), signal.SIGKILL)
