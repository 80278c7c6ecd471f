"""What somebody else writes costs time in proportion to its length, whatever it is made of, and is bounded."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from bot.domain.issue_keys import MAX_TEXT as KEYS_TEXT
from bot.domain.issue_keys import find_keys
from bot.markup import CUT, MAX_TEXT, Known, addresses_in, from_body, render
from bot.rules.questions import added, asks_something
from bot.safety import tidy
from handlers.bitbucket.payloads import MAX_LISTED, BitbucketPullRequest
from handlers.decoding import MAX_VALUES, NotJson, read_object
from tests.test_cards import draft, shown

SIZE = 3000
_RANDOM = random.Random(11)  # noqa: S311 - the same every time is what is wanted
PIECES = (
    "* item\n", "************ a\n", "*a ", "*_-a-_* ", "*_-+^~a ", "*_-+^~", "[", "[]", "[~a", "[a|https://b.c/d] ",
    "{", "{{a", "{{a}} ", "@", "a@", "a@b.c ", "https://b.c/d ", "https://", "www.a", "http:\\", "!a.png! ", "!a",
    "??a?? ", "?", "|a|b|\n", "|a", "|", "||a||b||\n", "{code}a{code}", "{code}", "{adf}{}{adf}", "{quote}",
    "{panel:title=a}", "{color:red}a", "h1. a\n", "bq. a\n", "----\n", "\n", " ", " \n", "\t", "\\", "\\\\ ", "`",
    "` ", "_a", "a_ ", "~", "-a ", "<", "<a", "<http:", "&a", "&#x", "&nbsp;", "# a\n", "1. a\n", "> a\n", "> ",
    "- - ", "(", "a.", "\u304b ", "\u304b\n", "\u304b", "password: ", "password=abc1 ", "token", "secret_", "eyJ",
    "eyJabcdefgh.", "sk-", "xoxb-", "a://", "a://b:c", "?sig=", "-----BEGIN PRIVATE KEY-----",
    "-----BEGIN A PRIVATE KEY-----\n", "bearer ", "authorization: basic ", "SK0", "1", "\u200d", "a\u200d",
    "\ud83d\ude00\u200d", "\u202e", "\ufe0f", "\r", "a\u0301", "A_", "A1_-", "A-", "A-1 ", "ECD-1",
)  # fmt: skip
TEXTS = {piece: piece * (2 * SIZE // len(piece)) for piece in PIECES} | {
    "nested": "[" * SIZE + "]" * SIZE,
    "anything": "".join(_RANDOM.choices("*_-+^~{}[]|!?\\`<>&@#\n :/ahtp.", k=2 * SIZE)),
    "key": "-----BEGIN PRIVATE KEY-----" + "abcd\n" * (2 * SIZE // 5),
    "web token": "eyJ" + "a" * 2 * SIZE,
    "password in an address": "http://a:" + "b" * 2 * SIZE,
}
KNOWN = Known("example.atlassian.net", frozenset())
FUNCTIONS: dict[str, Callable[[str], Any]] = {
    "from_body": from_body,
    "tidy": tidy,
    "addresses_in": addresses_in,
    "asks_something": asks_something,
    "added": lambda text: added(text[::2], text),
    "render": lambda text: render(text[: len(text) // 2], KNOWN).adf(),  # of what has at most 3,000 characters
    "find_keys": lambda text: find_keys(text, text, watches=bool, projects=("ECD",)),
}


def seconds(function: Callable[[str], Any], text: str, rounds: int) -> float:
    """The least CPU time that this took, without the garbage collector's."""
    took = []
    gc.disable()
    for _ in range(rounds):
        started = time.process_time()
        function(text)
        took.append(time.process_time() - started)
    gc.enable()
    return min(took)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_twice_as_long_takes_twice_as_long(name: str) -> None:
    function = FUNCTIONS[name]
    for piece, text in TEXTS.items():
        for rounds in (1, 4, 16):  # what is odd once is measured better
            half, whole = seconds(function, text[:SIZE], rounds), seconds(function, text[: 2 * SIZE], rounds)
            if whole < 3 * half + 0.004:
                break
        else:
            pytest.fail(f"{piece!r}: {half * 1000:.1f} ms, and twice of it {whole * 1000:.1f} ms")


def test_a_document_is_bounded_by_its_text_its_nodes_and_its_depth() -> None:
    node: dict[str, Any] = {"type": "text", "text": "a", "marks": [{"type": "strong"}]}
    many = from_body({"type": "doc", "content": [{"type": "paragraph", "content": [node] * 500_000}]})
    long = from_body({"type": "doc", "content": [{"type": "text", "text": "a " * 500_000}]})
    assert many.endswith(CUT)
    assert long.endswith(CUT)
    assert max(len(many), len(long)) < 2 * MAX_TEXT
    deep: dict[str, Any] = {"type": "text", "text": "deep"}
    for _ in range(150):
        deep = {"type": "blockquote", "content": [deep]}
    assert "deep" not in from_body({"type": "doc", "content": [deep]})


def test_a_quotation_on_a_card_reads_no_more_than_it_shows() -> None:
    long, short = (draft(answered_text="[" * length) for length in (MAX_TEXT, MAX_TEXT // 8))
    assert "Read all of it in Jira" in str(shown(long))
    assert seconds(lambda _: shown(long), "", 3) < 2 * seconds(lambda _: shown(short), "", 3) + 0.01


@pytest.mark.parametrize("values", ["[]", "{}", "1", '"a"', '{"a":1}', "[" * 150 + "]" * 150])
def test_a_body_that_is_nothing_but_values_is_refused(values: str) -> None:
    body = f'{{"a":[{",".join([values] * (5 * 2**20 // (len(values) + 1)))}]}}'.encode()
    with pytest.raises(NotJson, match="more than 200,000 values"):
        read_object(body)


@pytest.mark.parametrize("text", ["[a|b], ", "{{a}},\\\\", '\\"{[,', "a, b\\n"])
def test_a_long_text_of_brackets_and_commas_is_a_text(text: str) -> None:
    body = f'{{"comment":{{"body":"{text * (4 * 2**20 // len(text))}"}},"n":[1,2,3]}}'.encode()
    assert body.count(b",") + body.count(b"[") + body.count(b"{") > MAX_VALUES
    assert read_object(body)["n"] == [1, 2, 3]


def test_of_a_list_without_end_the_first_are_read() -> None:
    person = {"display_name": "Ana", "account_id": "1"}
    found = BitbucketPullRequest.model_validate({
        "id": 1, "title": "x", "state": "OPEN", "updated_on": "2026-01-01T00:00:00Z",
        "source": {"branch": {"name": "a"}}, "destination": {"branch": {"name": "b"}},
        "reviewers": [person] * 5000, "participants": [{"user": person}] * 5000,
    })  # fmt: skip
    assert len(found.reviewers or ()) == len(found.participants or ()) == MAX_LISTED


def test_keys_are_looked_for_where_a_person_would_look() -> None:
    found = find_keys("feature_ECD-1", "A_" * 300_000 + "ECD-3", "ECD-2 " + "A_" * 300_000, watches=bool)
    assert found == ("ECD-1", "ECD-2")
    assert KEYS_TEXT == MAX_TEXT
