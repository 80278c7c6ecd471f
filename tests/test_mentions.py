"""Who is mentioned: the id says whom Jira notifies, the name is for the reader, and the account's own name wins."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.issues import Comment, Issue, Person
from bot.domain.mentions import mention, mentioned, renamed, spoken, without_names
from bot.markup import Known, from_adf, from_wiki, render
from bot.prompting.material import Material, request_data
from bot.rules.policy import known, words_changed
from tests.test_markup_in import paragraph, text

NOW = datetime(2026, 11, 30, tzinfo=UTC)
ANA = Person(account_id="557058:ana", name="Ana Ruiz")
BEN = Person(account_id="557058:ben", name="Ben Okafor")
NORA = "712020:5c5f88"
SITE = "https://example.atlassian.net"


def at(account_id: str, name: str, **more: str) -> dict[str, Any]:
    return {"type": "mention", "attrs": {"id": account_id, "text": name, **more}}


def issue(*bodies: dict[str, Any], description: str = "") -> Issue:
    """An issue of Ben's that Ana has, with these comments of Ben's."""
    comments = [
        Comment(id=str(number), author=BEN, text=from_adf(body), created=NOW, updated=NOW)
        for number, body in enumerate(bodies)
    ]
    made = Issue(
        key="ECD-1", project="ECD", summary="s", url=f"{SITE}/browse/ECD-1", status="Open", assignee=ANA, reporter=BEN,
        description=description,
    )  # fmt: skip
    return made.with_comments(*comments)


def test_claude_is_given_the_name_and_the_id_of_whoever_is_mentioned() -> None:
    of = issue(paragraph(at(NORA, "@Nora Example"), text(" do you know?")))
    data = request_data(Material(issue=of, kind="issue_commented", answered=of.comments[0], now=NOW))
    assert data["to_answer"]["text"] == f"[~accountid:{NORA}](@Nora Example) do you know?"


@pytest.mark.parametrize("written", [f"[~accountid:{NORA}]", f"[~accountid:{NORA}](@Nora Example)", f"[~{NORA}](@x)"])
def test_who_is_mentioned_in_the_issue_may_be_mentioned_in_a_reply(written: str) -> None:
    in_comment = issue(paragraph(at(NORA, "@Nora Example")))
    in_description = issue(description=from_adf(paragraph(at(NORA, "@Nora Example"))))
    for of in (in_comment, in_description):
        made = render(f"{written}, do you know?", known(of, (), SITE))
        assert made.warnings == ()
        assert made.notified == ("Nora Example",)
        assert made.plain() == "@Nora Example, do you know?"
        [node, _] = made.adf()["content"][0]["content"]
        assert node["attrs"] == {"id": NORA, "text": "@Nora Example"}


def test_a_mention_has_the_accounts_own_name_whatever_it_says() -> None:
    of = issue(paragraph(at(BEN.account_id, "@Ana Ruiz"), text(" said so")))
    assert of.comments[0].text == f"[~accountid:{BEN.account_id}](@Ben Okafor) said so"
    assert render(of.comments[0].text, known(of, (), SITE)).plain() == "@Ben Okafor said so"


def test_somebody_else_under_the_name_of_one_we_know_is_told_apart() -> None:
    of = issue(paragraph(at(NORA, "@ana ruiz"), text("?")))
    assert render(of.comments[0].text, known(of, (), SITE)).plain() == f"@ana ruiz ({NORA})?"


def test_everybody_and_nobody_are_words() -> None:
    assert from_adf(paragraph(at("HERE", "@here", userType="SPECIAL"))) == "@here"
    assert issue(paragraph(at("HERE", "@here", userType="SPECIAL"))).people().keys() == {ANA.account_id, BEN.account_id}
    assert from_adf(paragraph(at("", "@Nora"))) == "@Nora"
    assert from_wiki(f"[~accountid:{NORA}]") == f"[~accountid:{NORA}]", "a webhook has no name"
    assert (
        NORA
        not in Issue(key="A-1", project="A", summary="", url="", status="", description=f"[~accountid:{NORA}]").people()
    ), "nobody could see who would be notified"


@pytest.mark.parametrize(
    "body",
    [
        paragraph(text("[~accountid:1](@Ana)")),
        paragraph(text("\\[~accountid:1](@Ana)")),
        paragraph(text("[~accountid:1](@Ana)", code="")),
        {"type": "codeBlock", "content": [text("[~accountid:1](@Ana)")]},
        paragraph(text("x", link="https://a.example/[~accountid:1](@Ana)")),
        paragraph({"type": "emoji", "attrs": {"text": "[~accountid:1](@Ana)", "shortName": "x"}}),
        paragraph({"type": "status", "attrs": {"text": "[~accountid:1](@Ana)", "color": "red"}}),
    ],
)
def test_what_only_looks_like_a_mention_mentions_nobody(body: dict[str, Any]) -> None:
    assert mentioned(from_adf(body)) == {}
    assert render(from_adf(body), known(issue(), (), SITE)).adf()["content"][0]["content"][0]["type"] == "text"


@pytest.mark.parametrize("wiki", ["{{[~accountid:1](@Ana)}}", "{code}[~accountid:1](@Ana){code}", r"\[~accountid:1]"])
def test_nor_does_what_only_looks_like_one_in_wiki_markup(wiki: str) -> None:
    assert mentioned(from_wiki(wiki)) == {}


def test_words_in_brackets_behind_a_mention_are_words() -> None:
    body = paragraph({"type": "mention", "attrs": {"id": "1"}}, text("(@Ana) knows"))
    for markdown in (from_adf(body), from_wiki("[~accountid:1](@Ana) knows")):
        assert mentioned(markdown) == {"1": ""}
        assert render(markdown, known(issue(), (), SITE)).plain() == "@1(@Ana) knows"


def test_a_version_without_the_name_is_the_same_text() -> None:
    assert not words_changed(f"[~accountid:{NORA}](@Nora Example) ready?", f"[~accountid:{NORA}] ready?")
    assert words_changed(f"[~accountid:{NORA}](@Nora Example) ready?", "[~accountid:1] ready?")


def test_a_line_that_is_read_as_it_stands_has_the_name() -> None:
    assert spoken(f"[~accountid:{NORA}](@Nora (QA)) and [~accountid:2]") == "@Nora (QA) and @…"


NAMES = st.text(st.sampled_from("Ana()[]|`\\*_~<>@ \n:é日&;"), max_size=12)


@given(NAMES, st.sampled_from(["", "see \\\\", "a ", "- ", "| "]))
def test_any_name_is_read_back_with_its_letters(name: str, before: str) -> None:
    written = mention("712020:1", name)
    assert without_names(before + written) == f"{before}[~accountid:712020:1]"
    [(account_id, read)] = mentioned(before + written).items()
    assert account_id == "712020:1"
    assert [c for c in read if c.isalpha()] == [c for c in name if c.isalpha()]
    made = render(written, Known("", frozenset(), {"712020:1": "Nora"}))
    assert made.plain() == "@Nora"
    assert renamed(before + written, {"712020:1": "Nora"}) == f"{before}[~accountid:712020:1](@Nora)"
