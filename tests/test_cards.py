"""The cards: what each state says and offers, what never reaches Slack as markup, and Slack's limits at the worst."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot import cards
from bot.cards.parts import MAX_MESSAGE, size
from bot.demo.slack.limits import check_message, check_view, walk
from bot.demo.slack.people import words
from bot.domain.draft_states import DraftState
from bot.domain.drafts import Card, Decision, Draft, Posted, Revision
from bot.domain.issues import Issue, Person, Visibility

NOW = datetime(2026, 11, 20, 9, 42, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
SITE = "https://team.atlassian.net"
S = DraftState
DANA, BEN = "U0DANA", Person(account_id="557058:b", name="Ben Okafor")
REPLY = (
    "Hi Ben, **Ana** has a fix in review:\n\n- one approval so far\n- see [the page](https://team.atlassian.net/wiki/1)"
)


def issue(**changes: Any) -> Issue:
    values = {
        "key": "ECD-142", "project": "ECD", "summary": "Export fails for large reports", "status": "In Progress",
        "url": f"{SITE}/browse/ECD-142", "assignee": Person(account_id="a", name="Ana Ruiz"), "priority": "High",
        "reporter": BEN, **changes,
    }  # fmt: skip
    return Issue(**values)


def decision(action: str = "approve", name: str = "Dana Petrova", **changes: Any) -> Decision:
    return Decision(**{"action": action, "by": DANA, "name": name, "at": NOW, **changes})


def draft(text: str = REPLY, **changes: Any) -> Draft:
    values = {
        "id": "drf_0123456789ab3f2a", "event_id": "evt_1", "cycle_id": "cyc_1", "issue": issue(), "mode": "production",
        "revisions": (Revision(text=text, by="claude", at=NOW),), "answered": "10019",
        "answered_text": "Is anybody **looking** at this?", "answered_author": "Ben Okafor", "answered_at": NOW,
        "why": "a direct status question", "confidence": 0.86, "sources": ("comment 10019",), "model": "m",
        "prompt": "p", "created": NOW,
        "expires": NOW + timedelta(days=7), "card": Card(channel="C0APPROVE1", ts="1.2"), **changes,
    }  # fmt: skip
    return Draft(**values)


def posted(**changes: Any) -> Draft:
    found = Posted(comment_id="10020", url=f"{SITE}/x", at=NOW)
    return draft(**{"state": S.POSTED, "decision": decision(), "posted": found, **changes})


def shown(of: Draft, *, now: datetime = NOW, **more: Any) -> cards.Message:
    return cards.draft_card(of, site=SITE, now=now, timezone=BERLIN, **more)


def labels(message: cards.Message) -> list[str]:
    return [b["text"]["text"] for b in walk(message.blocks) if b.get("type") == "button"]


def read(message: cards.Message) -> str:
    return words(message.blocks)


def links(message: cards.Message) -> list[str]:
    return [x["url"] for x in walk(message.blocks) if "url" in x]


def check(message: cards.Message) -> None:
    """What Slack would refuse, and what our own rules forbid."""
    assert check_message(message.blocks) == []
    assert size(message.blocks) <= MAX_MESSAGE
    assert 0 < len(message.text) < 200
    for item in walk(message.blocks):
        assert item.get("type") not in ("mrkdwn", "markdown", "user", "usergroup", "broadcast", "channel", "date")
        if item.get("type") == "plain_text":
            assert item["emoji"] is False


def test_a_waiting_card_shows_what_a_decision_needs() -> None:
    card = shown(draft())
    check(card)
    assert read(card) == "\n".join(
        [
            "📮 Production · 🌐 Public reply · ECD-142  “Export fails for large reports”\n"
            "In Progress · Ana Ruiz · High priority",
            "Ben Okafor wrote at 10:42",
            "Is anybody looking at this?",
            "Draft reply",
            "public, everybody who sees the issue · posts as PM Agent",
            "Hi Ben, Ana has a fix in review:",
            "one approval so far",
            "see the page (team.atlassian.net)",
            "Rests on facts: “a direct status question” · from comment 10019 · reply ab3f2a",
            "Approve",
            "Edit",
            "Skip",
            "Production: Approve posts to Jira as PM Agent.",
        ]
    )
    assert labels(card) == ["Approve", "Edit", "Skip"]
    assert links(card) == [f"{SITE}/browse/ECD-142", f"{SITE}/wiki/1"]
    assert card.text == "Draft reply for ECD-142 waits for a decision"
    assert card.metadata == {
        "event_type": "pmagent_draft",
        "event_payload": {"draft_id": "drf_0123456789ab3f2a", "issue": "ECD-142", "state": "waiting"},
    }


def test_what_deserves_a_second_look_stands_above_the_buttons_in_lines_of_its_own() -> None:
    card = shown(
        draft(look_twice="Chen's ” note is old", doubts=("The draft says “x”; y.",), unsupported=("128", "4.3"))
    )
    words = read(card)
    check(card)
    assert (
        "⚠ Look twice: “Chen's ' note is old”\n⚠ The draft says “x”; y.\n⚠ “128” is not in the issue\n⚠ “4.3”" in words
    )
    assert (
        words.index("⚠ “4.3” is not in the issue")
        < words.index("Why: “a direct status question”")
        < words.index("Skip")
    )
    assert "Rests on facts" not in words
    assert "⚠ Look twice: it names no fact that it rests on" in read(shown(draft(sources=())))
    edited = draft(
        revisions=(*draft().revisions, Revision(text="128", by=DANA, at=NOW)), unsupported=("128",), why="W."
    )
    assert "⚠ Look twice: “128” is not in the issue" in read(shown(edited))
    done = posted(revisions=edited.revisions, unsupported=("128",), unchecked=("Not checked: “z” (a).",))
    assert "⚠ “128” is not in the issue\n⚠ Not checked: “z” (a)." in read(shown(done))
    assert "⚠" not in read(shown(posted(unsupported=("128",))))  # it was seen when it was decided


def test_every_button_carries_what_was_seen() -> None:
    of = draft()
    for item in walk(shown(of).blocks):
        if item.get("type") == "button":
            assert json.loads(item["value"]) == {"draft": of.id, "seen": of.fingerprint}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"audience": "internal"}, "internal note, the customer does not see it"),
        ({"customer": True}, "public, the customer will see it"),
        (
            {"audience": "restricted", "visibility": Visibility(type="role", value="Developers")},
            "restricted to the role Developers",
        ),
        ({"mode": "simulation"}, "Simulation: Approve will not post to Jira."),
        ({"note": "Jira cannot be read at the moment."}, "Still waiting. Jira cannot be read at the moment."),
        ({"answered": None}, "Ben Okafor opened this issue at 10:42"),
        ({"answered_at": NOW - timedelta(days=3)}, "Ben Okafor wrote on 17 Nov at 10:42"),
        ({"sources": ("comment 10019", "PR #12")}, "from comment 10019, PR #12"),
    ],
)
def test_what_a_waiting_card_says_besides(changes: dict[str, Any], says: str) -> None:
    card = shown(draft(**changes))
    check(card)
    assert says in read(card)


def test_a_foreign_link_is_marked() -> None:
    card = shown(draft("See [here](https://files.example.net/x)"))
    warning = "⚠ one link is not from the issue, and will be posted as plain text: “here” leads to files.example.net"
    assert warning in read(card)
    [frame] = [b for b in card.blocks if b["type"] == "container"]
    assert "⚠" not in words([frame]), "our marks stand outside the frame"
    assert links(card) == [f"{SITE}/browse/ECD-142"]


def test_a_link_that_stands_in_the_issue_shows_its_host() -> None:
    card = shown(draft("See [here](https://files.example.net/x)", links=("https://files.example.net/x",)))
    assert "⚠" not in read(card)
    assert "here (files.example.net)" in read(card)


PINGS = "<!channel> <@U123> <!subteam^S1|all> <https://evil.example|x> @here *b* :boom: &lt;!here&gt;"


def test_no_markup_of_others_means_anything() -> None:
    card = shown(
        draft(
            PINGS,
            issue=issue(summary=PINGS, status=PINGS, key="ECD-1", assignee=Person(account_id="a", name=PINGS)),
            answered_text=PINGS, answered_author=PINGS, why=PINGS, note=PINGS,
        )
    )  # fmt: skip
    check(card)
    assert card.text == "Draft reply for ECD-1 waits for a decision"
    assert all(url.startswith(SITE) for url in links(card))
    assert "<!channel>" in read(card)


@pytest.mark.parametrize(
    ("of", "says", "offers"),
    [
        (draft(state=S.APPROVED, decision=decision()), "Approved by Dana Petrova at 10:42. Posting it to Jira.", []),
        (
            draft(state=S.APPROVED, decision=decision(), due=NOW + timedelta(minutes=2), note="Jira asks to wait."),
            "Posting it to Jira at 10:44.",
            [],
        ),
        (draft(state=S.POSTING, decision=decision()), "Approved by Dana Petrova at 10:42. Posting it to Jira.", []),
        (
            draft(state=S.HELD, decision=decision(), changes=("The status went from Open to Done.",)),
            "The status went from Open to Done.",
            ["Post anyway", "Draft anew", "Discard"],
        ),
        (posted(), "✓ Posted by Dana Petrova at 10:42 as drafted · View in Jira", ["Undo"]),
        (
            draft(state=S.SIMULATED, decision=decision(), mode="simulation"),
            "The text above would have been posted to ECD-142; Jira was not written to.",
            [],
        ),
        (
            draft(state=S.FAILED, decision=decision(), note="The bot's account may not comment here (403)."),
            "✗ Not posted. The bot's account may not comment here (403).",
            ["Retry", "Discard"],
        ),
        (
            draft(state=S.UNKNOWN, decision=decision(), note="Jira's answer was lost."),
            "It is not certain that this reached Jira. Jira's answer was lost.",
            ["Look again", "Post again"],
        ),
        (draft(state=S.LOOKING, decision=decision("look_again")), "Looking for the comment in Jira.", []),
        (
            posted(state=S.UNDOING, decision=decision("undo")),
            "Undoing: deleting the comment in Jira. Asked by Dana Petrova",
            [],
        ),
        (posted(state=S.UNDONE, decision=decision("undo")), "Undone by Dana Petrova at 10:42.", []),
        (
            draft(state=S.SKIPPED, decision=decision("skip")),
            "Skipped by Dana Petrova at 10:42. Nothing was posted.",
            [],
        ),
        (draft(state=S.SUPERSEDED), "Replaced by a newer draft on this issue. Nothing was posted.", []),
        (draft(state=S.EXPIRED, expires=NOW), "/pmagent draft ECD-142", []),
    ],
)
def test_each_state_says_what_became_of_it_and_what_can_be_done(of: Draft, says: str, offers: list[str]) -> None:
    card = shown(of)
    check(card)
    assert says in read(card)
    assert labels(card) == offers
    assert not {"Approve", "Edit", "Skip"} & set(labels(card))
    by = of.decision.by if of.decision else "none"
    assert [b["block_id"] for b in card.blocks if b.get("block_id", "").startswith("outcome")] == [
        f"outcome:{of.state}:{by}"
    ]


def test_every_state_has_a_card() -> None:
    for state in DraftState:
        check(shown(draft(state=state)))
        check(shown(draft(state=state, decision=decision(), note="A note.", mode="simulation")))


def test_the_approver_stays_named_when_somebody_else_asked_to_undo() -> None:
    of = posted(decided=(decision(),), decision=decision("undo", "Sam", by="U0SAM"), note="Jira refused to delete it.")
    assert "Posted by Dana Petrova" in read(shown(of))
    assert "⚠ Jira refused to delete it." in read(shown(of))


def test_an_edit_is_said() -> None:
    of = posted(
        decision=decision("edit"), revisions=(*draft().revisions, Revision(text="Short.", by=f"slack:{DANA}", at=NOW))
    )
    assert "with an edit" in read(shown(of))
    assert "Short." in read(shown(of))


def test_undo_ends_after_ten_minutes() -> None:
    assert labels(shown(posted(), now=NOW + timedelta(minutes=9, seconds=59))) == ["Undo"]
    assert labels(shown(posted(), now=NOW + timedelta(minutes=10))) == []
    assert "Until 10:52, Undo deletes the comment in Jira. It may already have been mailed." in read(shown(posted()))
    assert "mailed" not in read(shown(posted(audience="internal")))


def test_a_retired_card_links_to_the_newer_one() -> None:
    card = shown(draft(state=S.SUPERSEDED), newer_url="https://x.slack.com/archives/C1/p2")
    assert "https://x.slack.com/archives/C1/p2" in links(card)
    assert "Hi Ben" not in read(card)


def test_a_long_comment_is_cut_with_a_link_and_the_draft_never() -> None:
    text = " ".join(["word"] * 599)
    card = shown(draft(text, answered_text="x" * 5000))
    check(card)
    assert text in read(card)
    assert "x" * 999 + "…" in read(card)
    assert f"{SITE}/browse/ECD-142?focusedCommentId=10019" in links(card)


TEXTS = st.one_of(
    st.text(max_size=3000),
    st.sampled_from(
        ["- a\n", "1. b\n", "> q\n\n", '"', "\\", "😀", "* [x](https://e.example/a)\n", "`c`\n\n", "**b** "]
    ).map(lambda s: (s * 3000)[:3000]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    text=TEXTS,
    answered=TEXTS,
    words_of_others=st.text(max_size=400),
    note=st.text(max_size=2000),
    state=st.sampled_from(list(DraftState)),
    changes=st.lists(st.text(max_size=400), max_size=9),
)
def test_a_card_is_within_slacks_limits_whatever_it_shows(
    text: str, answered: str, words_of_others: str, note: str, state: DraftState, changes: list[str]
) -> None:
    person = Person(account_id="a", name=words_of_others)
    of = draft(
        text, answered_text=answered, answered_author=words_of_others, note=note, state=state, why=words_of_others * 5,
        issue=issue(summary=words_of_others, status=words_of_others, priority=words_of_others, assignee=person),
        changes=tuple(changes), decision=decision(name=words_of_others), sources=(words_of_others,),
        posted=Posted(comment_id="1", url="x", at=NOW),
    )  # fmt: skip
    check(shown(of, newer_url="https://x.slack.com/archives/C1/p2"))


@pytest.mark.parametrize("state", [S.WAITING, S.HELD, S.FAILED, S.UNKNOWN])
def test_what_cannot_be_shown_whole_cannot_be_approved(state: DraftState) -> None:
    """An older version may have drafted it: it is there as it was written, and nothing leads to a POST."""
    text = "- [x](https://evil.example)\n" * 100
    card = shown(draft(text, state=state, decision=decision(), answered_text="?" * 3000))
    check(card)
    assert text in read(card)
    assert "⚠ this is the reply's Markdown; it cannot be approved, because it cannot be shown whole" in read(card)
    assert not {"Approve", "Post anyway", "Retry", "Post again"} & set(labels(card))
    assert labels(card) == {
        S.WAITING: ["Edit", "Skip"], S.HELD: ["Draft anew", "Discard"], S.FAILED: ["Discard"],
        S.UNKNOWN: ["Look again"],
    }[state]  # fmt: skip


def test_a_card_names_whom_jira_will_notify() -> None:
    """Bold words can look like a mention."""
    assert "Jira notifies Ben Okafor\n" in read(shown(draft("[~accountid:557058:b] **@Ana Ruiz**")))
    assert "Jira notifies" not in read(shown(draft("**@Ben Okafor**")))
    assert "Jira notifies" not in read(shown(posted(revisions=draft("[~accountid:557058:b]").revisions)))


def test_the_modal_holds_the_whole_draft() -> None:
    of = draft("y" * 3000)
    view = cards.edit_modal(of)
    assert check_view(view) == []
    field = next(b for b in view["blocks"] if b["type"] == "input")
    assert field["block_id"] == cards.TEXT_BLOCK
    assert field["element"]["initial_value"] == "y" * 3000
    assert json.loads(view["private_metadata"]) == {"draft": of.id, "seen": of.fingerprint, "channel": "C0APPROVE1"}
    assert "Production: submitting posts to Jira as PM Agent." in words(view["blocks"])


def test_the_modal_keeps_what_was_typed_and_says_why() -> None:
    view = cards.edit_modal(draft(), text="my words", problem="Sam skipped this at 10:02.")
    assert check_view(view) == []
    assert "⚠ Sam skipped this at 10:02." in words(view["blocks"])
    assert next(b for b in view["blocks"] if b["type"] == "input")["element"]["initial_value"] == "my words"


def test_notices() -> None:
    for message, says in (
        (cards.mode_message("production", PINGS), "The mode is production now"),
        (cards.mode_message("simulation", "Dana"), "Cards that wait are redrawn, the newest first."),
        (
            cards.outage_message(NOW, "it is overloaded"),
            "Claude cannot be asked since 20 Nov 09:42 UTC: it is overloaded",
        ),
        (cards.outage_message(NOW, "x", NOW), "Claude answers again."),
        (cards.budget_message(10.004, 10, NOW), "10.00 of 10.00 USD"),
        (cards.failure_message("evt_1", "ECD-1", SITE, "Claude refused twice."), "Claude refused twice."),
        (cards.failure_message("evt_1", "<!here>", SITE, "r", retried="Dana"), "Dana asked for another try."),
    ):
        check(message)
        assert says in read(message)
        assert "<" not in message.text
    assert labels(cards.failure_message("evt_1", "ECD-1", SITE, "r")) == ["Retry"]


def test_the_home_tab() -> None:
    for pending in (None, (), tuple(draft() for _ in range(60))):
        view = cards.home_view(
            mode="production", by="Dana", paused="until 12:00", pending=pending, count=60,
            figures={"drafts": {"posted": 1}},
            site=SITE, now=NOW, timezone=BERLIN,
        )  # fmt: skip
        assert check_view(view) == []
