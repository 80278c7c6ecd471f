"""The lines of `check` about a store on PostgreSQL: it answers, may be used, with schemas that this version knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bot.commands.check.lines import CheckLine, good, later, warn, wrong

if TYPE_CHECKING:
    from bot.store.postgres.condition import DatabaseCondition

SETTING = "PMAGENT_DATABASE_URL"


def database(url: str) -> tuple[list[CheckLine], str]:
    """The lines, and what to say of the store besides its content; empty where nothing of that can be read."""
    from bot.errors import UserError
    from bot.store.postgres.address import DatabaseAddress, DatabaseAway
    from bot.store.postgres.condition import condition

    try:
        address = DatabaseAddress(url)
        found = condition(address)
    except DatabaseAway as error:
        return [later("store", str(error))], ""
    except UserError as error:
        return [wrong("store", str(error), f"set {SETTING} to the address of a database that this program may use")], ""
    lines = [*_faults(found)]
    if any(line.state == "wrong" for line in lines):
        return lines, ""
    if not found.safe:
        lines.append(
            warn("PostgreSQL", "fsync or full_page_writes is off: a power cut may lose what was accepted", "turn it on")
        )
    bots = "no bot is running on it" if not found.bots else f"{found.bots} running on it"
    if not found.schema:
        return [*lines, good("store", f"the {address.shown} answers; its tables are made at the first start")], ""
    newer = "" if found.schema == found.known_schema else ", which the next start upgrades"
    return lines, f"the {address.shown} answers; PostgreSQL {found.version}, schema {found.schema}{newer}; {bots}"


def _faults(found: DatabaseCondition) -> Iterator[CheckLine]:
    """What keeps the program from using this database."""
    from bot.store.postgres.connecting import OLDEST

    if found.number < OLDEST * 10_000:
        yield wrong("store", f"PostgreSQL {found.version} is too old", f"use PostgreSQL {OLDEST} or later")
    if found.encoding != "UTF8":
        yield wrong("store", f"the database holds texts as {found.encoding}", "create one with ENCODING 'UTF8'")
    if found.read_only:
        yield wrong("store", "the database takes no writes (a replica?)", f"let {SETTING} name the primary server")
    if not found.schema and not found.forbidden and not found.may_create:
        yield wrong("store", "this user may not make tables", f"let the user of {SETTING} own the database")
    if found.forbidden:
        mend = f"let the user of {SETTING} own the tables"
        yield wrong("store", f"this user may not read and write {found.forbidden}", mend)
    newer = "in the database is of a later version than this program knows"
    if found.schema > found.known_schema:
        yield wrong("store", f"the schema {newer} ({found.schema} against {found.known_schema})", "update PM Agent")
    if found.queue > found.known_queue:  # names that begin with the version
        yield wrong("store", f"the job queue {newer} ({found.queue})", "update PM Agent")
