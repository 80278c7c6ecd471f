"""The rules of learning: what is kept of an edit, what is near, what a proposal may be, and how its figures read."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.cards import CorrectionRow, ProposalOutcome, learned_page, proposal_message
from bot.cards.parts import MAX_MESSAGE, size
from bot.demo.slack.limits import check_message
from bot.domain.corrections import SKIP_REASONS, Correction, Lesson
from bot.domain.drafts import Card, Draft, Revision
from bot.domain.issues import Visibility
from bot.prompting import (
    InvalidAnswer,
    chosen,
    diff_of,
    facts_in,
    load_prompts,
    proposal_request,
    read_block,
    reply_message,
    triage_message,
    without_lessons,
)
from bot.prompting import read_proposal as read
from bot.prompting.material import TOTAL
from bot.reports.by_prompt import REASONS, by_prompt, sentences
from bot.rules.learning import (
    MAX_CORRECTIONS,
    MAX_TOTAL_SIZE,
    correction,
    count_changed_words,
    may_learn,
    nearest_corrections,
)
from bot.rules.policy import Audience
from bot.store import Audit, Figures
from bot.store.rollup import Rollup
from tests.asking_material import BEN, NOW, QUESTION, comment, issue, material, settings

PROMPTS = load_prompts()


def draft(*texts: str, by: str = "slack:U0DANA", **more: Any) -> Draft:
    wordings = [Revision(text=text, by="claude" if n == 0 else by, at=NOW) for n, text in enumerate(texts)]
    fields: dict[str, Any] = {
        "id": "drf_1", "event_id": "evt_1", "cycle_id": "c", "issue": issue(QUESTION), "mode": "production",
        "revisions": tuple(wordings), "answered": QUESTION.id, "answered_text": QUESTION.text, "model": "m",
        "prompt": "reply@1", "created": NOW, "expires": NOW, "card": Card(channel="C1"),
    }  # fmt: skip
    return Draft(**{**fields, **more})


def known(number: int, asked: str = "Is anybody looking at this?", *, days: float = 1, **more: Any) -> Correction:
    fields: dict[str, Any] = {
        "id": f"drf_{number}", "at": NOW - timedelta(days=days), "event_id": "e", "issue": f"ECD-{number}",
        "project": "ECD", "audience": "public", "desk": False, "prompt": "reply@1", "by": "slack:U1", "asked_by": "a",
        "asked": asked, "wrote": f"Hi Ben, {number}.", "made": f"It is {number}.",
    }  # fmt: skip
    return Correction(**{**fields, **more})


def ids(found: Any) -> list[str]:
    return [one.id for one in found]


def test_an_edit_of_a_persons_is_kept_with_what_was_asked_and_who_is_in_it() -> None:
    found = correction(draft("Hi Ben, soon.", "Not yet."), NOW)
    assert found is not None
    assert (found.asked, found.wrote, found.made, found.place) == (
        QUESTION.text,
        "Hi Ben, soon.",
        "Not yet.",
        "ECD|public",
    )
    assert (found.by, found.asked_by) == ("slack:U0DANA", BEN.account_id)
    assert set(found.people) >= {"557058:ana", "557058:ben"}


@pytest.mark.parametrize(
    "unfit",
    [
        draft("As it was."), draft("Same.", "Same."), draft("a", "b", answered_text=" "),
        draft("a", "b", customer=True), draft("a", "b", audience="restricted"),
        draft("a", "b", audience="internal", visibility=Visibility(type="role", value="Devs")),
        draft("a", "b", withheld=True), draft("a", "b", issue=issue(QUESTION, has_security_level=True)),
    ],
)  # fmt: skip
def test_nothing_is_kept_of_what_is_not_for_everybody_or_was_not_edited(unfit: Draft) -> None:
    assert correction(unfit, NOW) is None


def test_who_a_reply_is_for_decides_whether_others_texts_may_enter() -> None:
    assert may_learn(Audience(audience="public"))
    assert may_learn(Audience(audience="internal"))
    hidden = Visibility(type="role", value="Devs")
    for audience in (
        Audience(audience="public", customer=True), Audience(audience="restricted", visibility=hidden),
        Audience(audience="internal", visibility=hidden),
    ):  # fmt: skip
        assert not may_learn(audience)


def test_the_nearest_by_words_and_age_and_never_more_than_fit() -> None:
    near, old, far = known(1), known(2, days=900), known(3, "Which firmware versions are affected?")
    assert ids(nearest_corrections("Is anybody looking?", [far, old, near], NOW)) == ["drf_1", "drf_2"]
    assert nearest_corrections("Danke, läuft!", [near, old, far], NOW) == ()
    assert ids(nearest_corrections("Which firmware is affected?", [near, far], NOW)) == ["drf_3"]
    japanese = known(4, "レビューはどなたがされていますか？")
    assert ids(nearest_corrections("レビューは誰がしますか？", [near, japanese], NOW)) == ["drf_4"]
    assert len(nearest_corrections("Is anybody looking?", [known(n) for n in range(9)], NOW)) == MAX_CORRECTIONS
    long = known(5, wrote="x" * MAX_TOTAL_SIZE)
    assert ids(nearest_corrections("Is anybody looking at this?", [long, known(6, days=300)], NOW)) == ["drf_6"], (
        "whole or not at all"
    )


@pytest.mark.parametrize(
    ("before", "after", "count"),
    [
        ("a b c", "a b c", 0), ("Hi Ben, it is done.", "It is done.", 3), ("a b", "a b c d", 2),
        ("a b c d", "a x d", 2), ("", "a", 1),
    ],
)  # fmt: skip
def test_how_much_an_edit_changed(before: str, after: str, count: int) -> None:
    assert count_changed_words(before, after) == count


def test_it_goes_first_when_there_is_no_room_and_is_no_fact() -> None:
    learned = (Lesson(asked="zqasked", wrote="zqwrote 4711", made="zqmade"),)
    message = reply_message(material(learned=learned)).message
    assert read_block(message)["learned"] == [{"asked": "zqasked", "written": "zqwrote 4711", "changed_to": "zqmade"}]
    assert "zq" not in json.dumps(facts_in(message))
    assert without_lessons(message) == reply_message(material()).message, "what is stored holds nothing of other issues"
    assert without_lessons("no block at all") == "no block at all"
    assert "zq" not in triage_message(material(learned=learned)).message
    crowd = [comment("word " * 300, id=str(n), minutes_ago=n + 5) for n in range(20)]
    long = comment("x" * 30_000)
    full = material(
        long,
        issue=issue(*crowd, long, description="d" * 9_000),
        learned=(Lesson(asked="q" * 3_900, wrote="", made=""),) * 5,
    )
    data = read_block(reply_message(full).message)
    assert len(json.dumps(data["comments"])) > 10_000
    assert len(data.get("learned", [])) < 5
    assert len(json.dumps(data, ensure_ascii=False)) < TOTAL + 2_000
    with pytest.raises(ValueError, match="the team's own"):
        material(customer=True, pull_requests=(), learned=learned)


# A proposed change of the prompts

PAIRS = [known(n) for n in range(12)]
OLD = "- The answer is in the first sentence."


def answer(**more: Any) -> str:
    fields: dict[str, Any] = {
        "why": "People shorten.", "propose": True, "file": "voice.md", "old_text": OLD,
        "new_text": f"{OLD} Then stop.", "pairs": ["correction 1", "correction 2", "correction 99"],
    }  # fmt: skip
    return json.dumps({**fields, **more})


def test_a_proposal_becomes_a_diff_that_git_applies(tmp_path: Path) -> None:
    proposal = read(answer(), PROMPTS, PAIRS)
    assert proposal is not None
    assert (proposal.path, proposal.pairs) == ("prompts/voice.md", ("drf_0", "drf_1"))
    diff = diff_of(proposal, PROMPTS)
    assert diff is not None
    folder = tmp_path / "prompts"
    folder.mkdir()
    (folder / "voice.md").write_text((Path(__file__).parents[1] / "prompts" / "voice.md").read_text("utf-8"), "utf-8")
    subprocess.run(["git", "apply", "-"], input=diff.encode(), cwd=tmp_path, check=True, timeout=20)
    assert "Then stop." in (folder / "voice.md").read_text("utf-8")
    changed = load_prompts().__class__(**{**vars(PROMPTS), "voice": "another file"})
    assert diff_of(proposal, changed) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"file": "standup.md"}, {"file": "../bot/app.py"}, {"old_text": "stands nowhere"}, {"old_text": " "},
        {"old_text": "data"}, {"new_text": OLD}, {"new_text": "x" * 2_000}, {"pairs": ["correction 1"]},
        {"pairs": ["correction 77", "x"]}, {"propose": "yes"},
    ],
)  # fmt: skip
def test_what_cannot_be_carried_out_is_no_proposal(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidAnswer):
        read(answer(**wrong), PROMPTS, PAIRS)


def test_no_change_is_an_answer_and_customers_are_not_in_the_question() -> None:
    assert read(answer(propose=False, file="", old_text=""), PROMPTS, PAIRS) is None
    found = chosen(
        [
            known(1, desk=True),
            known(2, audience="internal"),
            *PAIRS,
            *(known(n, wrote="y" * 3_000) for n in range(20, 60)),
        ]
    )
    assert ids(found)[:12] == ids(PAIRS)
    assert sum(one.size for one in found) <= 30_000
    request = proposal_request(PROMPTS, settings(), found)
    data = read_block(request.message)
    assert set(data["files"]) == {"team.md", "voice.md", "reply.md"}
    assert OLD in data["files"]["voice.md"]
    assert request.purpose == "learning"
    assert "by" not in data["corrections"][0], "no person is named"


def test_the_messages_fit_whatever_is_in_them() -> None:
    nasty = "<!channel> *x* <https://evil.example|y> " * 80
    where = {"site": "https://x.example", "now": NOW, "timezone": settings().timezone}
    many = [known(n, nasty, wrote=nasty, made=nasty) for n in range(60)]
    rows = [CorrectionRow("ECD-1", nasty, nasty)] * 30
    diff = "--- a\n" + "-x\n" * 9_000
    for message in (
        learned_page(many, "ECD", admin=True, **where), learned_page([], None, admin=False, **where),
        proposal_message(1, "prompts/voice.md", nasty, rows, site="https://x.example"),
        proposal_message(
            1, "prompts/voice.md", nasty, rows, site="https://x.example", outcome=ProposalOutcome("Olga", diff)
        ),
    ):  # fmt: skip
        assert check_message(message.blocks) == []
        assert size(message.blocks) <= MAX_MESSAGE


# Figures


def test_what_became_of_the_drafts_of_each_prompt_version() -> None:
    def line(action: str, name: str, prompt: str = "reply@1", **figures: Any) -> Audit:
        return Audit("slack:U1", f"draft.{action}", None, name, "ECD-1", figures=Figures(prompt=prompt, **figures))

    lines = [
        *(line("created", name, usd=0.1) for name in "abcde"), line("created", "f", "reply@2", usd=0.1),
        line("approved", "a", seconds=60), line("posted", "a"), line("edited", "b", seconds=120, words=9),
        line("approved", "b", part="edited"), line("posted", "b"), line("undone", "b"),
        line("skipped", "c"), line("skip_reason", "c", part="wrong"), line("skipped", "d"),
        Audit("system", "event.accepted", issue="ECD-1"),
    ]  # fmt: skip
    rollup = Rollup(lines, UTC, NOW)
    [new, old] = sorted(
        by_prompt([r for r in rollup.records([], []) if r["day"] == "ever"]), key=lambda row: row["drafts"]
    )
    assert (new["prompt"], new["drafts"], new["posted"], new["cost_per_posted_usd"]) == ("reply@2", 1, 0, None)
    assert old == {
        "project": "ECD", "prompt": "reply@1", "drafts": 5, "approved_as_drafted": 1, "edited": 1, "words_changed": 9.0,
        "skipped": 2, "skip_reasons": {"wrong": 1}, "undone": 1, "posted": 2, "seconds_to_decision": 90.0,
        "cost_usd": 0.5, "cost_per_posted_usd": 0.25,
    }  # fmt: skip
    assert sentences(old) == (
        "5 drafts: 1 approved as drafted, 1 edited (9 words each), 2 skipped (1 wrong, 1 without a reason), 1 undone",
        "decided in 90.0 s; 0.50 USD (0.250 for each posted reply)",
    )
    assert sentences(new)[0] == "1 draft: 0 approved as drafted, 0 edited, 0 skipped"
    assert REASONS.keys() == SKIP_REASONS.keys()
