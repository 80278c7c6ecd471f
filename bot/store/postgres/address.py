"""The address of the database: how a command connects to it, and what a person is told when that fails.

An address holds a password, so no part of it but the host and the database's name is ever said. What libpq says of an
address that it cannot read repeats parts of it, and is said to nobody; what it and the server say of a connection that
failed names hosts, databases and users, and no password.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from bot.errors import UserError
from bot.store.data import DataAway

CONNECT_TIMEOUT = 10
"""For a connection to be made, for each of the hosts."""
_KEPT_ALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
# The server refuses before there is a connection, so there is no code for it, only its words.
_REFUSALS = (
    "authentication failed", "no password supplied", "no pg_hba.conf entry", "does not exist", "permission denied",
    "is not permitted to log in", "certificate", "no encryption", "SSL was required",
)  # fmt: skip


class DatabaseAway(DataAway):
    """PostgreSQL cannot be reached or does not take us now; nothing is known to be wrong with the settings."""


class DatabaseRefused(UserError):
    """PostgreSQL answers and says no, and will until a person changes something."""


class DatabaseAddress:
    """A database's address. `shown`: what of it may be said."""

    def __init__(self, url: str) -> None:
        """Raises `UserError` for what is none."""
        self._url = url
        try:
            if not url.lower().startswith(("postgresql://", "postgres://")):
                raise psycopg.ProgrammingError
            parts = conninfo_to_dict(url)
        except psycopg.Error:  # its words may hold the password
            raise UserError(
                "PMAGENT_DATABASE_URL is not an address such as postgresql://user:password@host/database. In a "
                "password, write %40 for @, %2F for /, %3A for :, %23 for #, %3F for ?, %25 for %."
            ) from None
        hosts, ports = str(parts.get("host") or "this machine"), str(parts.get("port") or "")
        self.host = f"{hosts}:{ports}" if ports and "," not in hosts + ports else hosts
        self.name = str(parts.get("dbname") or parts.get("user") or "")
        self.shown = f"database {self.name} on {self.host}" if self.name else f"database on {self.host}"

    def __repr__(self) -> str:
        return f"Address({self.shown})"

    @property
    def url(self) -> str:
        """The address itself: a secret."""
        return self._url

    def options(self, what: str) -> dict[str, Any]:
        """How every connection is made. `what`: its name in PostgreSQL's list of sessions."""
        given = conninfo_to_dict(self._url)
        ours: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT, "application_name": f"pm-agent {what}"}
        return {name: value for name, value in (ours | _KEPT_ALIVE).items() if name not in given}

    def connect(self, what: str) -> psycopg.Connection:
        """A connection for a command, in autocommit. Raises `DatabaseAway`, `DatabaseRefused`."""
        with self.in_words():
            return psycopg.connect(self._url, autocommit=True, **self.options(what))

    @contextmanager
    def in_words(self) -> Iterator[None]:
        """What psycopg raises becomes a sentence. Raises `DatabaseAway`, `DatabaseRefused`."""
        try:
            yield
        except psycopg.errors.LockNotAvailable as error:
            raise DatabaseAway(
                f"Somebody else is at work in the {self.shown} (a restore, an erase or a backup), and was waited for. "
                "Try again when that has ended."
            ) from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise DatabaseRefused(
                f"PostgreSQL refuses in the {self.shown}: {_words(error)}. Give the user of PMAGENT_DATABASE_URL that "
                "right, or let it own the database."
            ) from error
        except psycopg.OperationalError as error:
            words = _words(error)
            if any(refusal in words for refusal in _REFUSALS):
                raise DatabaseRefused(
                    f"PostgreSQL refuses a connection to the {self.shown}: {words}. Mend PMAGENT_DATABASE_URL."
                ) from None
            raise DatabaseAway(f"PostgreSQL cannot be reached now (the {self.shown}: {words}).") from None
        except psycopg.Error as error:
            raise UserError(f"PostgreSQL failed in the {self.shown}: {_words(error)}.") from error


def _words(error: psycopg.Error) -> str:
    """What went wrong, in the server's or libpq's own words, on one line."""
    text = error.diag.message_primary or str(error).splitlines()[0] if str(error) else type(error).__name__
    for mark in ("FATAL:", "failed:"):
        text = text.rpartition(mark)[2] if mark in text else text
    return " ".join(text.split()).rstrip(".")
