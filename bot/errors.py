"""What can go wrong, sorted by what has to happen next.

::

    PMAgentError
    ├── UserError       a person has to do something: the text is a sentence for them, with the next step
    ├── RetryLater      nothing was done; the same call may succeed later (`after` seconds, if the other side said when)
    │   ├── Down        the service is away as a whole: every other call would fare the same
    │   └── TooLate     the lease under which it was to be sent ends soon, or is over: nothing was sent
    ├── Permanent       the same call will fail again; `reason` is a sentence for a person, `status` the HTTP status
    │   └── Gone        what was asked about does not exist for us any more (404, 403, in the service's own words)
    ├── OutcomeUnknown  a write was sent and its answer lost: it may or may not have happened
    └── Illegal         a state change that the state machine does not have (a bug, never a user's fault)

The store's own two errors (`Conflict`, `StoreUnavailable`) live beside its protocol in `bot.store`.
"""


class PMAgentError(Exception):
    """Base of all errors that this program raises on purpose."""


class UserError(PMAgentError):
    """A sentence for a person: what is wrong and what to do about it."""


class RetryLater(PMAgentError):
    """The other side did not do it, for now.

    `after`: seconds to wait, where the other side said so. `nothing_sent`: True when it is certain that no
    request reached the other side (connection refused) or that it was refused outright (429, 503 with Retry-After).
    `reason`: a sentence for a person, without secrets.
    """

    def __init__(self, reason: str, *, after: float | None = None, nothing_sent: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.after = after
        self.nothing_sent = nothing_sent


class Down(RetryLater):
    """A service is away as a whole: unreachable, it does not know our account, or what answers is not the service.

    `service`: its name. `status`: the HTTP status, where there was one.
    """

    def __init__(
        self,
        service: str,
        reason: str,
        *,
        status: int | None = None,
        after: float | None = None,
        nothing_sent: bool = True,
    ) -> None:
        super().__init__(reason, after=after, nothing_sent=nothing_sent)
        self.service = service
        self.status = status


class TooLate(RetryLater):
    """Nothing was sent: there was no time left for it under the lease, and somebody else may take the work over."""

    def __init__(self) -> None:
        super().__init__("there was no time left to send it safely, so nothing was sent")


class Permanent(PMAgentError):
    """Trying again without a change would fail again. `status` is the HTTP status, where there was one."""

    def __init__(self, reason: str, *, status: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status


class Gone(Permanent):
    """404 or 403 by the service itself: the thing does not exist for our account."""


class OutcomeUnknown(PMAgentError):
    """A write was sent and its answer lost (timeout, reset, 5xx): look before sending again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Illegal(PMAgentError):
    """A transition that the state machine does not have."""
