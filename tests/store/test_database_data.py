"""The data on PostgreSQL under commands that need them whole: restores and erasures that are killed, bots that run."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from bot.errors import UserError
from bot.store import TABLES, Audit, Put, StoreUnavailable
from bot.store.backup import backup, restore
from bot.store.opening import data, data_at
from bot.store.postgres.address import DatabaseAway, DatabaseRefused
from bot.store.postgres.presence import InUse
from bot.store.postgres.store import PostgresStore
from tests import warm
from tests.homes import Home, new_home
from tests.postgres import private_server

ROOT = Path(__file__).parents[2]
CANARY = "canary-Zq9"


def quiet(_what: str, _done: int, _total: int) -> None:
    """No progress is shown."""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    found = new_home("database", tmp_path / "none")
    found.commit(
        Put("keys", {"id": "old", "by": "U0DANA"}), audit=[Audit("slack:U0DANA", "old", details={"n": 1})]
    )  # fmt: skip
    return found


@pytest.fixture
def made(home: Home, tmp_path: Path) -> Path:
    """A backup, after which the store went on."""
    path, _ = backup(home.data, f"{tmp_path}/", quiet)
    home.commit(Put("keys", {"id": "since"}), audit=[Audit("system", "since")])
    return path


def bot(home: Home, *arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], **home.variables, **more}
    return warm.run("bot", *map(str, arguments), folder=ROOT, environment=environment)


def keys(home: Home) -> list[str]:
    return [record["id"] for record in home.records("keys")]


def execute(home: Home, sql: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(home.url, autocommit=True) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


# Restore


@pytest.mark.parametrize(
    ("failpoint", "left"),
    [
        ("restore.filling", ["old", "since"]), ("restore.before_replace", ["old", "since"]),
        ("restore.after_replace", ["old"]),
    ],
)  # fmt: skip
def test_a_restore_that_is_killed_leaves_a_whole_store(home: Home, made: Path, failpoint: str, left: list[str]) -> None:
    killed = bot(home, "restore", made, "--force", PMAGENT_FAILPOINT=failpoint)
    assert killed.returncode == -signal.SIGKILL
    assert keys(home) == left
    assert bot(home, "audit", "verify").stdout.startswith(f"ok {len(left)} records")
    home.commit(Put("keys", {"id": "on"}), audit=[Audit("system", "on")])
    assert bot(home, "audit", "verify").stdout.startswith(f"ok {len(left) + 1} records")
    assert bot(home, "restore", made, "--force").returncode == 0
    assert keys(home) == ["old"]


async def test_no_restore_while_a_bot_runs_and_no_bot_while_a_restore_does(home: Home, made: Path) -> None:
    first, second = [await PostgresStore.open(home.url, application_name=f"pm-agent {n}") for n in (1, 2)]
    await first.close()
    with pytest.raises(InUse, match=r"in use by pm-agent 2 from this machine \(session \d+\)\. Stop every bot first"):
        await asyncio.to_thread(restore, made, home.data, quiet, force=True)
    await second.close()
    assert await asyncio.to_thread(keys, home) == ["old", "since"]

    def meanwhile() -> None:
        with home.data.loading(force=True):
            with pytest.raises(InUse, match="A restore is at work"):
                asyncio.run(PostgresStore.open(home.url))
            raise UserError("leave it")

    with pytest.raises(UserError, match="leave it"):
        await asyncio.to_thread(meanwhile)
    assert await asyncio.to_thread(keys, home) == ["old", "since"]


async def test_a_bot_that_slept_through_a_restore_writes_nothing_into_the_restored_data(home: Home, made: Path) -> None:
    """Its machine was asleep, say, and the person ended its sessions, as the command told."""
    store = await PostgresStore.open(home.url)
    await store.commit(Put("keys", {"id": "awake"}))
    await asyncio.to_thread(
        execute, home, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pm-agent'"
    )  # fmt: skip
    await asyncio.to_thread(restore, made, home.data, quiet, force=True)
    with pytest.raises(StoreUnavailable, match="restart the bot"):
        await store.commit(Put("keys", {"id": "late"}))
    await store.close()
    assert await asyncio.to_thread(keys, home) == ["old"]


async def test_a_bot_that_lost_its_connection_takes_its_place_again(home: Home, made: Path) -> None:
    store = await PostgresStore.open(home.url)
    await asyncio.to_thread(
        execute, home, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pm-agent'"
    )  # fmt: skip
    await store.commit(Put("keys", {"id": "again"}))
    with pytest.raises(InUse):
        await asyncio.to_thread(restore, made, home.data, quiet, force=True)
    await store.close()


def test_a_restore_makes_the_tables_in_an_empty_database_and_refuses_others(made: Path, tmp_path: Path) -> None:
    new = new_home("database", tmp_path)
    assert restore(made, new.data, quiet).broken_at is None
    assert keys(new) == ["old"]
    theirs = new_home("database", tmp_path)
    execute(theirs, "CREATE TABLE audit (id int)")
    with pytest.raises(UserError, match="give PM Agent its own"):
        restore(made, theirs.data, quiet)


# Reading


def test_a_snapshot_stays_at_its_moment(home: Home) -> None:
    with home.data.snapshot() as snapshot:
        home.commit(Put("keys", {"id": "new"}), audit=[Audit("system", "new")])
        assert [record["id"] for record in snapshot.find("keys")] == ["old"]
        assert snapshot.count("audit") == 1
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            snapshot._connection.execute("DELETE FROM keys")  # type: ignore[attr-defined]  # what it does not offer
    assert keys(home) == ["old", "new"]


def test_a_reader_that_goes_away_in_the_midst_is_no_trouble(home: Home) -> None:
    with home.data.snapshot() as snapshot:
        for number in range(3):
            assert next(snapshot.find("keys"))["id"] == "old", number


def test_a_later_schema_is_refused(home: Home) -> None:
    execute(home, "UPDATE about SET value = '999' WHERE name = 'schema'")
    for command in (("export", "audit"), ("stats",), ("erase", "U0DANA")):
        done = bot(home, *command)
        assert (done.returncode, done.stdout) == (1, "")
        assert "schema 999" in done.stderr
        assert "update PM Agent" in done.stderr


# Erase


def test_an_erasure_that_is_killed_is_done_again(home: Home) -> None:
    home.write_plainly()
    home.commit(Put("keys", {"id": "text", "by": "U0DANA"}))
    killed = bot(home, "erase", "U0DANA", PMAGENT_FAILPOINT="erase.before_vacuum")
    assert killed.returncode == -signal.SIGKILL
    assert "U0DANA" not in str(home.content())
    assert "U0DANA" in home.files()
    again = bot(home, "erase", "U0DANA")
    assert again.stdout == "Erased. Records changed: none.\n"
    assert "write-ahead log" in again.stderr
    assert "U0DANA" not in home.files()


def test_the_planner_keeps_no_samples_of_records(home: Home) -> None:
    home.commit(*(Put("keys", {"id": f"k{n}", "text": f"t{n % 3}"}) for n in range(50)))
    execute(home, "ANALYZE")
    sampled = execute(home, "SELECT tablename::text, attname::text FROM pg_stats WHERE schemaname = 'public'")
    assert ("keys", "seq") in sampled
    assert not {(table, name) for table in TABLES for name in ("id", "doc")} & {*sampled}


# What goes wrong, in words


@pytest.mark.parametrize(
    ("url", "kind", "words"),
    [
        (
            "postgresql://u:{}@127.0.0.1:1/db",
            DatabaseAway,
            r"cannot be reached now \(the database db on 127.0.0.1:1: ",
        ),
        ("postgresql://u:{}@no-such-host.invalid/db", DatabaseAway, "no-such-host.invalid"),
        ("postgresql://u:%zz{}@h/db", UserError, "is not an address"),
        ("postgresql://u:{}@h/db?bogus=1", UserError, "is not an address"),
        ("host=h password={}", UserError, "is not an address"),
    ],
)
def test_an_address_that_leads_nowhere(url: str, kind: type[UserError], words: str, tmp_path: Path) -> None:
    with pytest.raises(kind, match=words) as error, data_at(tmp_path, url.format(CANARY)).snapshot():
        pass
    assert CANARY not in str(error.value)
    done = bot(Home(tmp_path, url.format(CANARY)), "backup", tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert CANARY not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_refusal_names_the_setting_and_no_secret(tmp_path: Path) -> None:
    with private_server() as server:
        uri = server.get_uri()
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE ana LOGIN PASSWORD '{CANARY}'".encode())
            connection.execute("CREATE ROLE ben LOGIN")
        access = Path(server.pgdata) / "pg_hba.conf"
        access.write_text(f"local all ana scram-sha-256\n{access.read_text()}")
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute("SELECT pg_reload_conf()")

        def as_user(user: str, database: str = "postgres") -> str:
            return urlsplit(uri)._replace(netloc=f"{user}@", path=f"/{database}").geturl()

        with data_at(tmp_path, as_user(f"ana:{CANARY}")).snapshot() as snapshot:
            assert not snapshot.there
        for user, words in ((f"ana:wrong-{CANARY}", "password authentication failed"), ("ana", "no password supplied")):
            with pytest.raises(DatabaseRefused, match=f"{words}.*PMAGENT_DATABASE_URL") as refused:
                data_at(tmp_path, as_user(user)).snapshot().__enter__()
            assert CANARY not in str(refused.value)
        with pytest.raises(DatabaseRefused, match='"nowhere" does not exist'):
            data_at(tmp_path, as_user(f"ana:{CANARY}", "nowhere")).snapshot().__enter__()
        home = Home(tmp_path, as_user("postgres"))
        home.commit(Put("keys", {"id": "x"}))
        with pytest.raises(DatabaseRefused, match="permission denied for table"):
            data_at(tmp_path, as_user("ben")).snapshot().__enter__()


def test_the_address_may_stand_in_a_file(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text(f"{home.url}\n")
    found = data({"PMAGENT_DATABASE_URL_FILE": str(file), "PMAGENT_DATA_DIR": "/nowhere"})
    assert found.place.startswith("the database test_")
    file.unlink()
    with pytest.raises(UserError, match="PMAGENT_DATABASE_URL is to come from PMAGENT_DATABASE_URL_FILE, but"):
        data({"PMAGENT_DATABASE_URL_FILE": str(file)})
