"""The program's log: structlog over the standard library, one line per event, text on a terminal and JSON elsewhere.

Everything that any library says passes through one handler on the root logger, and so through one redaction: our
events, slack_sdk, atlassian, httpx2, uvicorn, asyncio, uncaught exceptions of any thread, and warnings. It happens
twice on purpose: each value is cleaned before it is rendered (a pattern such as an API key is found in plain text only
there), and every configured secret is searched once more in the finished line, tracebacks included. Warnings and errors
that repeat are counted (`bot.log.repeats`): before anything is rendered, so that they cost next to nothing.

Use::

    log = get_logger()
    with bound(event_id=event.id, draft_id=draft.id):
        log.info("draft.posted", comment=comment_id)

Log ids, numbers and our own words. The text of a ticket, a comment or a draft does not belong here at any level.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

import structlog

from bot.log.redaction import MIN_IN_TEXTS, Redactor, redactor_of, safe_repr
from bot.log.repeats import LogSource, Repeats
from bot.safety import hide_own

if TYPE_CHECKING:
    from bot.settings import Settings

REPEATED = "log.repeated"
"""The event that tells how often a warning or an error was said again in the last minute."""
QUIET = (
    "slack_sdk", "slack_bolt", "atlassian", "urllib3", "requests", "httpx2", "httpcore2", "anthropic", "aiohttp",
    "uvicorn.access", "asyncio", "tzlocal", "markdown_it",
)  # fmt: skip
"""Loggers that speak from WARNING on: below, some of them print whole request bodies and headers."""


def get_logger(name: str | None = None) -> structlog.stdlib.BoundLogger:
    """A logger, named by `__name__`. It may be made at import: it reads the configuration only when it is used."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(*([name] if name else []))
    return logger


@contextmanager
def bound(**ids: str | None) -> Iterator[None]:
    """Put these ids on every line logged inside, by whatever library. `None` is left out."""
    with structlog.contextvars.bound_contextvars(**{k: v for k, v in ids.items() if v is not None}):
        yield


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """structlog's formatter, with the last look for secrets in the finished line."""

    def __init__(self, redactor: Redactor, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        return self._redactor.known(super().format(record))


class _Handler(logging.StreamHandler[TextIO]):
    """The one handler: leaves out what only repeats, and is never itself a reason to stop."""

    def __init__(self, stream: TextIO, repeats: Repeats) -> None:
        super().__init__(stream)
        self._repeats = repeats

    def filter(self, record: logging.LogRecord) -> bool:
        # Our own events were looked at by `_Once`, before their tracebacks were made.
        if record.levelno < logging.WARNING or hasattr(record, "_from_structlog") or hasattr(record, "_logger"):
            return True
        try:
            what = record.getMessage()
        except Exception:  # its arguments do not fit, which the formatter will say
            what = str(record.msg)
        where = (record.pathname, record.lineno, _raised(record.exc_info))
        return not self._repeats.again(record.name, record.levelno, where, what, what)

    def close(self) -> None:
        self._repeats.tell()  # at the end of the process: what was counted since the last minute
        super().close()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the standard library's name
        # logging's own answer prints the record's arguments, unredacted. Say that it happened, and where, no more.
        # And a log that nobody reads any more (a closed pipe, a full disk) is no reason for the program to stop.
        with suppress(OSError, ValueError):
            self.stream.write(f"a log line of {record.name} could not be written ({record.pathname}:{record.lineno})\n")


class _Once:
    """The processor that drops our own events where they only repeat."""

    def __init__(self, repeats: Repeats) -> None:
        self._repeats = repeats

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        level, what = logging.getLevelNamesMapping()[event["level"].upper()], str(event["event"])
        if level >= logging.WARNING and what != REPEATED:
            words = tuple(safe_repr(v) for k, v in event.items() if isinstance(v, str | tuple) and k != "exc_info")
            if self._repeats.again(event["logger"], level, (what, _raised(event.get("exc_info"))), words, what):
                raise structlog.DropEvent
        return event


def _raised(error: Any) -> tuple[str, ...]:
    """What an error is and where it was raised; nothing where there is none."""
    found = sys.exc_info()[1] if error is True else error[1] if isinstance(error, tuple) else error
    if not isinstance(found, BaseException):
        return ()
    trace = found.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return (type(found).__qualname__, f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "")


def _tell(place: LogSource, count: int) -> None:
    get_logger(place.logger).log(place.level, REPEATED, what=place.what, times=count)


def configure(
    settings: Settings | None = None,
    *,
    stream: TextIO | None = None,
    level: int = logging.INFO,
    form: str | None = None,
) -> Redactor:
    """Send all logging of this process to `stream` (default: standard error). Call once at the start of a command.

    From then on `bot.safety` hides this process's own secrets too, in all that passes it from outside.

    `settings` brings the secrets to hide and PMAGENT_LOG_FORMAT; without them only what looks like a secret is hidden.
    `form` (`text` or `json`) wins over the settings. Returns the redactor, for texts that leave by another way.
    """
    out = stream or sys.stderr
    chosen = form or (settings.pmagent_log_format if settings else None) or ("text" if out.isatty() else "json")
    redactor = redactor_of(settings)
    own = redactor_of(settings, least=MIN_IN_TEXTS)
    hide_own(own.places)

    def redact(logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        inner = ("_record", "_from_structlog")
        return {k: v if k in inner else redactor.value(v) for k, v in event.items()}

    repeats = Repeats(_tell)
    who: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
    ]
    how: list[Any] = [
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso" if chosen == "json" else "%H:%M:%S", utc=chosen == "json"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,  # to text at once, so that it is redacted like every other value
        redact,
    ]
    final: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if chosen == "json":
        final.append(structlog.processors.JSONRenderer(ensure_ascii=False, sort_keys=False))
    else:
        final.append(structlog.dev.ConsoleRenderer(colors=out.isatty(), pad_event_to=0))
    structlog.configure(
        # First of all whether it is wanted: a line below the level costs next to nothing, 500 times a second.
        processors=[
            structlog.stdlib.filter_by_level,
            *who,
            _Once(repeats),
            *how,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # a test or a command may configure again
    )
    handler = _Handler(out, repeats)
    handler.setFormatter(_Formatter(redactor, foreign_pre_chain=[*who, *how], processors=final))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    logging.captureWarnings(True)
    _catch_the_rest()
    return redactor


def _catch_the_rest() -> None:
    """What Python itself would print as a traceback goes through the log, and so through the redaction."""
    crash = logging.getLogger("crash")

    def uncaught(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if issubclass(kind, KeyboardInterrupt):
            return
        crash.critical("uncaught error", exc_info=(kind, error, trace))

    def in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and not issubclass(args.exc_type, SystemExit):
            crash.error("uncaught error in a thread", exc_info=(args.exc_type, args.exc_value, args.exc_traceback))

    def unraisable(args: sys.UnraisableHookArgs) -> None:
        if args.exc_value is not None:
            crash.error("error nobody could catch", exc_info=(args.exc_type, args.exc_value, args.exc_traceback))

    sys.excepthook = uncaught
    threading.excepthook = in_thread
    sys.unraisablehook = unraisable
