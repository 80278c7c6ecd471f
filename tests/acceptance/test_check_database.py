"""`python -m bot check` with the data in a database: what is right, what is wrong with it, and what passes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bot.demo.stage import Stage
from bot.store import Audit, Put
from tests.homes import Home, new_home

CANARY = "canary-Zq9"
READ_ONLY = "ALTER DATABASE %I SET default_transaction_read_only = on"


async def checked(stage: Stage, url: str) -> dict[str, dict[str, Any]]:
    """The lines of `check --json` by name."""
    _, output = await stage.run("check", "--json", seconds=110, PMAGENT_DATABASE_URL=url)
    assert CANARY not in output
    return {line["name"]: line for line in json.loads(output)["checks"]}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return new_home("database", tmp_path / "data")


def execute(home: Home, sql: str) -> None:
    with psycopg.connect(home.url, autocommit=True) as connection:
        connection.execute(sql.encode())


async def test_a_new_database_and_one_with_data(stage: Stage, home: Home) -> None:
    lines = await checked(stage, home.url)
    assert lines["store"]["state"] == "ok"
    assert "its tables are made at the first start" in lines["store"]["text"]
    assert not stage.data.exists()
    event = Put("webhook_events", {"id": "e", "at": "2026-01-01T00:00:00+00:00"})
    await asyncio.to_thread(home.commit, event, audit=[Audit("system", "x")])
    lines = await checked(stage, home.url)
    head = home.records("audit")[0]["hash"]
    assert lines["store"]["state"] == "ok"
    assert f"1 audit records, head {head}" in lines["store"]["text"]
    assert "no bot is running on it" in lines["store"]["text"]
    assert "days ago" in lines["events"]["text"]
    await stage.start_bot(PMAGENT_DATABASE_URL=home.url)
    lines = await checked(stage, home.url)
    assert "1 running on it" in lines["store"]["text"]
    assert home.url not in stage.log


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("UPDATE about SET value = '999' WHERE name = 'schema'", "the schema in the database is of a later version"),
        (
            "COMMENT ON TABLE procrastinate_jobs IS '99.99.99_01_pre_x.sql'",
            "the job queue in the database is of a later",
        ),
        (f"DO $$ BEGIN EXECUTE format('{READ_ONLY}', current_database()); END $$", "takes no writes"),
    ],
)
async def test_what_a_person_has_to_mend(stage: Stage, home: Home, sql: str, said: str) -> None:
    await asyncio.to_thread(home.commit)
    execute(home, sql)
    line = (await checked(stage, home.url))["store"]
    assert (line["state"], said in line["text"]) == ("wrong", True), line


async def test_an_outage_passes_and_a_refusal_names_the_setting(stage: Stage, home: Home) -> None:
    line = (await checked(stage, f"postgresql://u:{CANARY}@127.0.0.1:1/db"))["store"]
    assert (line["state"], line["mend"].startswith("try again")) == ("later", True), line
    line = (await checked(stage, home.url.replace("/test_", "/nope_")))["store"]
    assert (line["state"], "does not exist" in line["text"]) == ("wrong", True), line
    assert "PMAGENT_DATABASE_URL" in line["mend"]
