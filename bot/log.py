"""The program's log: structlog over the standard library, one line per event, text on a terminal and JSON elsewhere.

Everything that any library says passes through one handler on the root logger, and so through one redaction: our
events, slack_sdk, atlassian, httpx2, uvicorn, asyncio, uncaught exceptions of any thread, and warnings. It happens
twice on purpose: each value is cleaned before it is rendered (a pattern such as an API key is found in plain text only
there), and every configured secret is searched once more in the finished line, tracebacks included. Warnings and errors
that repeat are counted (`bot.repeats`): before anything is rendered, so that they cost next to nothing.

Use::

    log = get_logger()
    with bound(event_id=event.id, draft_id=draft.id):
        log.info("draft.posted", comment=comment_id)

Log ids, numbers and our own words. The text of a ticket, a comment or a draft does not belong here at any level.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import quote, quote_plus

import structlog

from bot.repeats import LogSource, Repeats
from bot.safety import REDACTED, hide_own, seen, tidy

if TYPE_CHECKING:
    from bot.settings import Settings

DISTINCT = 10
"""Characters from which on a secret is hidden in tickets and replies too: shorter ones may be ordinary words."""
_UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]+")  # what neither JSON nor a repr nor a URL writes in another way
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


class Redactor:
    """Replaces secrets in texts: the given ones in every form that we know they travel in, and what looks like one."""

    def __init__(self, secrets: Iterable[str] = (), *, users: Iterable[str] = ()) -> None:
        """`secrets`: texts to hide. `users`: names that go before a secret in HTTP Basic credentials."""
        forms: set[str] = set()
        words: set[str] = set()
        cores: set[str] = set()
        for secret in filter(None, secrets):
            cores.add(_core(secret) if len(secret) >= 4 else secret)
            forms |= _forms(secret) if len(secret) >= 4 else set()
            # Three characters occur everywhere: hidden where they stand alone, or no line would be readable.
            words |= {secret} if len(secret) < 4 else set()
            for user in filter(None, users):
                basic = base64.b64encode(f"{user}:{secret}".encode("utf-8", "surrogatepass")).decode()
                forms.add(re.escape(basic))
                # Base64 turns three bytes into four letters: the user's part is the same for every secret.
                cores.add(basic[: len(f"{user}:".encode("utf-8", "surrogatepass")) // 3 * 4])
        # Longest first: a secret that begins with another one must not leave its end behind.
        parts = sorted(forms, key=len, reverse=True)
        parts += [rf"(?<!\w){re.escape(word)}(?!\w)" for word in sorted(words)]
        self._known = re.compile("|".join(parts)) if parts else None
        self.cores = tuple(sorted(cores))
        """One of these stands in every text that holds one of the secrets."""

    def known(self, text: str) -> str:
        """`text` without the given secrets."""
        return self._known.sub(REDACTED, text) if self._known and self._suspected(text) else text

    def places(self, text: str) -> Iterable[tuple[int, int]]:
        """Where the given secrets stand in `text`."""
        return (found.span() for found in self._known.finditer(text)) if self._known and self._suspected(text) else ()

    def _suspected(self, text: str) -> bool:
        # Every text from outside passes here, and next to none holds a secret: a look for the cores says so at a
        # fifth of the pattern's price.
        return any(core in text for core in self.cores)

    def text(self, text: str) -> str:
        """`text` without the given secrets, without anything that looks like one, and without control characters."""
        clean: str = tidy(self.known(text))
        return clean

    def value(self, value: object, depth: int = 0) -> Any:
        """A loggable copy of any value: numbers as they are, containers in depth, everything else as clean text."""
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return self.text(value)
        if depth < 6:  # deeper is no log line any more; its repr is enough
            if isinstance(value, Mapping):
                return {self.text(str(k)): self.value(v, depth + 1) for k, v in value.items()}
            if isinstance(value, list | tuple | set | frozenset):
                return [self.value(v, depth + 1) for v in value]
        return self.text(_safe_repr(value))


def _forms(secret: str) -> set[str]:
    """Patterns of the secret as it may stand in a line: plain, in JSON or a repr (also twice over), in a URL."""
    raw = secret.encode("utf-8", "surrogatepass")  # a setting that is not UTF-8 arrives with lone surrogates
    urls = (quote(raw, safe=""), quote(raw), quote_plus(raw))
    return {"".join(map(_written, secret)), *map(re.escape, urls)}


def _core(secret: str) -> str:
    """The longest part of a secret that is written the same in all of `_forms`; "" (in every text) if it is short."""
    longest = max(_UNRESERVED.findall(secret), key=len, default="")
    return longest if len(longest) >= 4 else ""


def _written(character: str) -> str:
    """A pattern of one character: as it is, or as JSON, a repr of a text or a repr of bytes writes it."""
    if character in "\"'":
        return rf"\\*{character}"
    if character == "\\":
        return r"\\+"
    if " " <= character <= "~":
        return re.escape(character)
    escaped = {json.dumps(character)[1:-1], repr(character)[1:-1], ascii(character)[1:-1]}
    escaped.add(repr(character.encode("utf-8", "surrogatepass"))[2:-1])
    ways = [re.escape(way).replace(r"\\", r"\\+") for way in sorted(escaped, key=len, reverse=True)]
    return f"(?:{'|'.join([*ways, re.escape(character)])})"


def _safe_repr(value: object) -> str:
    try:
        return str(value) if isinstance(value, BaseException) else repr(value)
    except Exception:
        return f"<{type(value).__name__}>"


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
            words = tuple(_safe_repr(v) for k, v in event.items() if isinstance(v, str | tuple) and k != "exc_info")
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
    own = redactor_of(settings, least=DISTINCT)
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


def redactor_of(settings: Settings | None, *, least: int = 1) -> Redactor:
    """The redactor for these settings' secrets, those of at least so many characters."""
    if settings is None:
        return Redactor()
    users = (settings.atlassian_service_account_email, settings.bitbucket_email or "", "x-token-auth")
    secrets = [s for s in settings.secrets() if len(s) >= least]
    return Redactor([*secrets, *map(seen, secrets)], users=users)


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
