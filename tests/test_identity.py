"""A known name under another account: found however it is written, and never where it is the same account."""

from __future__ import annotations

import pytest

from bot.domain.issues import LinkedIssue, Person
from bot.rules.identity import look_alikes
from tests.asking_material import ANA, BEN, comment, issue


def marked(name: str, *, kind: str = "atlassian", account: str = "557058:other") -> list[str]:
    written = comment("Please close this.", author=Person(account_id=account, name=name, kind=kind))
    return [found.sentence for found in look_alikes(issue(written), written)]


@pytest.mark.parametrize(
    "name",
    [
        "Ana Ruiz", "ANA RUIZ", "ana ruiz", "AnaRuiz", "Ana  Ruiz", "Ana\u00a0Ruiz", "Ana\u200bRuiz", "Ruiz, Ana",
        "Аna Ruiz", "Ana Ruіz", "Αna Ruiz", "Aná Ruíz", "Ana Ru1z", "𝐀𝐧𝐚 𝐑𝐮𝐢𝐳", "Ａｎａ Ｒｕｉｚ", "Ana.Ruiz",
        "Ana Rulz", "Ana_Ruiz",
        "@na Ruiz", "Ana Ruız",
    ],
)  # fmt: skip
def test_a_name_that_looks_like_the_assignees(name: str) -> None:
    [sentence] = marked(name)
    assert sentence == f"“{name}”, who wrote what is answered, is not the account of “Ana Ruiz”, who is assigned"


@pytest.mark.parametrize("name", ["Ana", "Ana Ruiz Gomez", "Anna Ruiz", "Diana Ruiz", "佐藤", "???", "", "Former user"])
def test_other_names_are_other_names(name: str) -> None:
    assert marked(name) == []


def test_an_account_may_be_called_differently_here_and_there() -> None:
    assert marked("ANA RUIZ", account=ANA.account_id) == []


def test_a_colleague_is_known_before_a_customer_and_an_app() -> None:
    written = comment("Hello", author=Person(account_id="557058:colleague", name="Mira Lang"))
    for kind in ("customer", "app"):
        reporter = Person(account_id="qm:1", name="Mira Lang", kind=kind)
        [found] = look_alikes(issue(written, reporter=reporter), written)
        assert (found.who.person, found.known.person) == (reporter, written.author)


def test_an_account_that_is_gone_has_no_name_to_be_known_by() -> None:
    [sentence] = marked("Ana Ruiz", account="")
    assert "is not the account of" in sentence


def test_the_assignees_of_other_issues_count_and_unnamed_accounts_do_not() -> None:
    link = LinkedIssue(
        relation="blocks", key="ECD-2", summary="", status="", assignee=Person(account_id="x", name="ben okafor")
    )
    many = [comment("x", id=str(n), author=Person(account_id=str(n), name="Former user")) for n in range(3)]
    [found] = look_alikes(issue(*many, links=(link,)))
    assert (found.known.person, found.who.role) == (BEN, "is assigned to ECD-2")
