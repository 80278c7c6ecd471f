"""The support check: how much it finds of what was planted, how often it is wrong, and what it must leave alone."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given as generated
from hypothesis import strategies as st

from bot.store.erasure.scrub import ErasedPerson, scrub
from bot.support import given, unsupported
from bot.support.reading import read
from tests.support.corpus import blocks, lines, result

BLOCKS = {name: given(block["data"], datetime.fromisoformat(block["now"])) for name, block in blocks().items()}
HALVES = ("seen", "held_out")


def marks(text: str, block: str = "export", *named: tuple[str, str]) -> tuple[str, ...]:
    return unsupported(text, BLOCKS[block], named)


def test_of_planted_facts_most_are_marked_and_of_supported_sentences_hardly_any() -> None:
    planted = sum(bool(line.mark) for half in HALVES for line in lines(half))
    supported = sum(not line.mark for half in HALVES for line in lines(half))
    missed, alarms = zip(*(result(half) for half in HALVES), strict=True)
    assert planted >= 60
    assert supported >= 200
    assert sum(map(len, missed)) * 60 <= 5 * planted, missed
    assert sum(map(len, alarms)) * 200 <= 4 * supported, alarms


def test_of_figures_that_are_worked_out_the_right_ones_pass_and_most_wrong_ones_are_marked() -> None:
    halves = ("derived_seen", "derived_held_out")
    wrong = sum(bool(line.mark) for half in halves for line in lines(half))
    right = sum(not line.mark for half in halves for line in lines(half))
    missed, alarms = zip(*(result(half) for half in halves), strict=True)
    assert min(wrong, right) >= 40
    assert sum(map(len, alarms)) <= 4, alarms
    assert sum(map(len, missed)) * 100 <= 15 * wrong, missed


@pytest.mark.parametrize(
    ("text", "block", "found"),
    [
        ("It is fixed in 4.2.2, for up to 128 pages.", "export", ("4.2.2", "128")),
        ("PR #13 and ECD-99 are open.", "export", ("PR #13", "ECD-99")),
        ("It is due on 29 November, 2026-11-29, 29.11. or 11/29.", "export",
         ("29 November", "2026-11-29", "29.11", "11/29")),
        ("期限は11月29日です。", "report", ("11月29日",)),
        ("It was yesterday, nine days ago at 23:10.", "zertifikat", ("nine days ago", "23:10")),
        ("Es sind 37 von 99 (12,5 %).", "zertifikat", ("37", "99", "12,5")),
        ("Hospital ticket INC99999.", "export", ("INC99999",)),
    ],
)  # fmt: skip
def test_what_does_not_stand_there_is_quoted(text: str, block: str, found: tuple[str, ...]) -> None:
    assert marks(text, block) == found


@pytest.mark.parametrize(
    ("text", "block"),
    [
        ("PR #12 may be merged; may I ask Chen?", "export"),
        ("It needs UTF-8 and SHA-256, S3 and OAuth2.", "export"),
        ("See [the page](https://example.net/991/2), [~accountid:557058:99].", "export"),
        ("1. Ana\n2. Chen\n3. Dana", "export"),
        ("Due Thursday (26.11.), i.e. 26/11, 11/26, Nov 26th.", "export"),
        ("Der Parser sei zu 60% fertig; das steht hier.", "zertifikat"),
        ("Fällig ist MED-7 am Dienstag; PR #31 kam am 22.9., die 22 am 18.9.", "zertifikat"),
        ("", "export"),
    ],
)
def test_what_needs_no_support_is_left_alone(text: str, block: str) -> None:
    assert marks(text, block) == ()


def test_people_and_statuses_are_looked_up_as_the_model_names_them() -> None:
    named = (("person", "Kenji"), ("person", "Ana"), ("status", "Blocked"), ("status", "In Progress"))
    assert marks("Kenji and Ana: it is Blocked, was In Progress.", "export", *named) == ("Kenji", "Blocked")
    assert marks("Nobody of that name is in here.", "export", ("person", "Kenji")) == ()  # it quotes only what is there


def test_no_sentence_of_the_data_is_kept_and_a_few_kilobytes_are_enough() -> None:
    kept = BLOCKS["export"].model_dump_json()
    assert len(kept) < 4000
    assert "streams it" not in kept
    assert "Exports over" not in kept
    assert "557058" not in kept


HOSTILE = (
    "PR" + " " * 12_000, "1." * 6_000, "a-" * 6_000, "](" * 6_000, "[~accountid:" * 1_000, "1 111" * 2_400,
    "9" * 12_000,
    "in " + " " * 12_000, "@a" * 6_000, "https" * 2_400, "12/" * 4_000, "1-1-" * 3_000, "1 2 3 4 5 6 7 8 " * 700,
    "May " * 3_000, "one two " * 1_500, "ECD-" * 3_000, "\u3042" * 12_000, "v1" * 6_000, "1h" * 6_000, "# " * 6_000,
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=[text[:6].strip() or "blank" for text in HOSTILE])
def test_no_text_keeps_the_program_busy(text: str) -> None:
    began = time.process_time()
    found = given({"comments": [{"at": "2026-01-01 09:00", "text": text}]}, BLOCKS["export"].now)
    unsupported(text[:3000], found)
    unsupported(text[:3000], BLOCKS["export"])
    assert time.process_time() - began < 3, "a text of 12,000 characters takes milliseconds"


def test_an_erased_person_leaves_what_was_given_too() -> None:
    claim = {"kind": "person", "subject": {"key": ""}, "value": "Nora Ek", "negated": False, "quote": "Nora has it"}
    record: dict[str, Any] = {
        "id": "drf_1", "event_id": "evt_1", "state": "waiting", "version": 1, "given": BLOCKS["export"].model_dump(),
        "stated": [claim], "unsupported": ["Nora"], "doubts": ["The draft says “Nora has it”; x."],
        "look_twice": "Nora?",
        "issue": {"key": "ECD-142", "assignee": {"account_id": "557058:nora", "name": "Nora Ek"}},
    }  # fmt: skip
    record = json.loads(json.dumps(record, default=str))
    person = ErasedPerson.known_from("557058:nora", [("drafts", record)])
    after = scrub(person, "drafts", record)
    assert "Nora" in json.dumps(record["given"])
    assert "Nora" not in json.dumps(after)
    assert "Ana" in json.dumps(after)
    person.events.add("evt_1")
    theirs = scrub(person, "drafts", record)
    assert theirs is not None
    assert (theirs["given"], theirs["stated"], theirs["unsupported"], theirs["doubts"]) == (None, [], [], [])


@generated(st.text(), st.text())
def test_any_text_and_any_data_are_read(text: str, other: str) -> None:
    data: dict[str, Any] = {"comments": [{"at": other, "text": text}, {"at": "2026-02-31 25:70", "text": other}]}
    found = given(data, datetime(2026, 1, 1, 9, 0))  # noqa: DTZ001 - local time, as the prompt tells it
    assert all(words in text for words in unsupported(text, found))
    # What stands in the data is supported where it is repeated.
    assert unsupported(json.dumps(text), given(json.dumps(text), found.now)) == ()
    assert [one.words for one in read(text)] == [one.words for one in read(text)]
