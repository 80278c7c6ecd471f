"""A real Jira payload in, our own event or an exact sentence out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.domain.events import EVENT, DraftRequested, Ignored, IssueChanged, IssueCommented, IssueCreated, Malformed
from bot.domain.issues import Visibility
from handlers.jira import automation as jira_automation
from handlers.jira import events as jira
from tests.damage import damage

OURS = Path(__file__).parent / "fixtures" / "jira"
THEIRS = Path(__file__).parents[2] / "shared" / "fixtures" / "jira"
PM_AGENT = "712020:f0f0f0f0-6666-4666-8666-ffffffffffff"
BEN = "712020:b0b0b0b0-2222-4222-8222-bbbbbbbbbbbb"
AT = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def load(name: str, folder: Path = OURS) -> dict[str, Any]:
    if not folder.is_dir():
        pytest.skip(f"THE SHARED RECORDINGS ARE NOT HERE: {folder}")
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return found


def watches(project: str) -> bool:
    return project in ("ECD", "HELP", "TES")


def parse(payload: dict[str, Any], own_account: str | None = PM_AGENT) -> object:
    return jira.parse(payload, watches=watches, own_account=own_account)


def commented(name: str) -> IssueCommented:
    event = parse(load(name))
    assert isinstance(event, IssueCommented)
    return event


def ignored(name: str) -> str:
    event = parse(load(name))
    assert isinstance(event, Ignored)
    return event.reason


class TestComments:
    def test_a_comment(self) -> None:
        event = commented("comment_created__question")
        assert event.issues == ("ECD-142",)
        assert (event.project, event.summary, event.edited) == ("ECD", "Export fails for large reports", False)
        assert event.at == datetime(2026, 11, 22, 9, 10, tzinfo=UTC)
        assert (event.comment.id, event.comment.public, event.comment.visibility) == ("20001", True, None)
        assert (event.comment.author.account_id, event.comment.author.name) == (BEN, "Ben Okafor")
        assert event.comment.created == event.comment.updated == datetime(2026, 11, 22, 9, 10, tzinfo=UTC)
        assert "Is anybody looking at this?" in event.comment.text
        assert "[~accountid:712020:a0a0a0a0-1111-4111-8111-aaaaaaaaaaaa]" in event.comment.text

    def test_a_document_body(self) -> None:
        text = commented("comment_created__adf").comment.text
        assert text.startswith("[~accountid:712020:a0a0a0a0-1111-4111-8111-aaaaaaaaaaaa](@Ana Ruiz) is the")
        assert "we need it by Thursday" in text

    def test_an_edit(self) -> None:
        event = commented("comment_updated__words")
        assert event.edited
        assert event.comment.updated > event.comment.created

    def test_the_same_comment_announced_as_an_update_of_the_issue(self) -> None:
        first, second = commented("comment_created__question"), commented("issue_updated__commented")
        assert (first.comment, first.edited) == (second.comment, second.edited)

    def test_the_same_edit_announced_as_an_update_of_the_issue(self) -> None:
        first, second = commented("comment_updated__words"), commented("issue_updated__comment_edited")
        assert (first.comment, first.edited) == (second.comment, second.edited)

    def test_a_transition_with_a_comment_is_that_comment(self) -> None:
        payload = load("issue_updated__status") | {"comment": load("comment_created__question")["comment"]}
        event = parse(payload)
        assert isinstance(event, IssueCommented)
        assert not event.edited

    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("comment_created__question", "atlassian"),
            ("comment_created__by_another_app", "app"),
            ("comment_created__service_desk_customer", "customer"),
        ],
    )
    def test_who_writes(self, name: str, kind: str) -> None:
        assert commented(name).comment.author.kind == kind

    def test_an_internal_note(self) -> None:
        assert not commented("comment_created__service_desk_internal").comment.public

    def test_a_restricted_comment(self) -> None:
        found = commented("comment_created__restricted").comment.visibility
        assert found == Visibility(type="role", value="Administrators", identifier="10002")

    def test_invisible_characters_and_secrets_do_not_get_in(self) -> None:
        payload = load("comment_created__question")
        payload["issue"]["fields"]["summary"] = "Key\u200b AKIAIOSFODNN7EXAMPLE\n\U000e0041 leaked"
        payload["comment"]["author"]["displayName"] = "Ben\u202e Okafor"
        event = parse(payload)
        assert isinstance(event, IssueCommented)
        assert "AKIAIOSFODNN7EXAMPLE" not in event.summary
        assert event.summary.startswith("Key ")
        assert event.summary.endswith(" leaked")
        assert "\n" not in event.summary
        assert event.comment.author.name == "Ben Okafor"

    def test_a_user_of_2019(self) -> None:
        payload = load("comment_created__question")
        payload["comment"]["author"] = {"name": "ben", "key": "JIRAUSER10100", "displayName": "Ben Okafor"}
        event = parse(payload)
        assert isinstance(event, IssueCommented)
        assert event.comment.author.account_id == "JIRAUSER10100"


class TestIssues:
    def test_created(self) -> None:
        event = parse(load("issue_created__question"))
        assert isinstance(event, IssueCreated)
        assert event.text.startswith(
            "Export fails for large reports\n\nReports of more than 10,000 rows end in a timeout"
        )
        assert event.text.endswith("Who can look at it?")
        assert event.reporter is not None
        assert event.reporter.account_id == BEN

    def test_created_without_description(self) -> None:
        event = parse(load("issue_created__no_description"))
        assert isinstance(event, IssueCreated)
        assert event.text == "Write release notes for 4.3"

    def test_changed(self) -> None:
        event = parse(load("issue_updated__status"))
        assert isinstance(event, IssueChanged)
        assert [(c.field, c.before, c.after) for c in event.changes] == [("status", "To Do", "In Progress")]
        assert event.by is not None
        assert event.by.name == "Ana Ruiz"

    @pytest.mark.parametrize(
        ("field", "before", "after", "asks", "added"),
        [
            ("description", "It is slow.", "It is slow.\n\n*Who* has it?", "It is slow.\n\n**Who** has it?",
             "**Who** has it?"),
            ("description", "Slow. Bad.", "Slow. Who? Bad. Now.", "Slow. Who? Bad. Now.", "Who?\nNow."),
            ("description", None, "Who?", "Who?", ""),
            ("description", "Why?", "Why? And who?", "", ""),
            ("description", "Who?", None, "", ""),
            ("description", "It is slow.", "It is slow. {{a?b}} https://x.example/?q", "", ""),
            ("summary", "Export", "Who?", "", ""),
            ("description", "x" * 900, "x" * 900 + " Who?", "x" * 900 + " Who?", "x" * 900 + " Who?"),
        ],
    )  # fmt: skip
    def test_a_description_that_newly_asks(
        self, field: str, before: str | None, after: str | None, asks: str, added: str
    ) -> None:
        payload = load("issue_updated__status")
        payload["changelog"]["items"] = [{"field": field, "fromString": before, "toString": after}]
        event = parse(payload)
        assert isinstance(event, IssueChanged)
        assert (event.asks, event.added) == (asks, added)
        assert len(event.changes[0].after) <= 300, "what is kept of a change is one line"
        payload["user"]["accountId"] = PM_AGENT
        assert isinstance(parse(payload), Ignored)

    def test_assigned(self) -> None:
        event = parse(load("issue_updated__assigned"))
        assert isinstance(event, IssueChanged)
        assert [(c.field, c.before, c.after) for c in event.changes] == [("assignee", "", "Ana Ruiz")]


class TestIgnored:
    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("comment_created__by_us", "our own comment"),
            ("issue_updated__by_us", "our own change"),
            ("comment_created__other_project", "project OPS is not among those that are watched"),
            ("comment_deleted", "comment_deleted is a kind of event that is not handled"),
            ("issue_updated__comment_deleted", "issue_comment_deleted is a kind of event that is not handled"),
            ("issue_updated__commented_without_comment", "an update that names neither a change nor a comment"),
            ("issue_deleted", "jira:issue_deleted is a kind of event that is not handled"),
            ("worklog_created", "worklog_created is a kind of event that is not handled"),
            ("sprint_started", "sprint_started is a kind of event that is not handled"),
            ("attachment_created", "attachment_created is a kind of event that is not handled"),
            ("issuelink_created", "issuelink_created is a kind of event that is not handled"),
            ("version_released", "jira:version_released is a kind of event that is not handled"),
        ],
    )
    def test_by_its_name(self, name: str, reason: str) -> None:
        assert ignored(name) == reason

    def test_the_issue_is_kept_where_it_is_known(self) -> None:
        event = parse(load("comment_deleted"))
        assert isinstance(event, Ignored)
        assert (event.kind, event.issues) == ("comment_deleted", ("ECD-142",))

    def test_our_comment_edited_by_a_person_is_still_ours(self) -> None:
        payload = load("comment_created__by_us") | {"webhookEvent": "comment_updated"}
        payload["comment"]["updateAuthor"] = load("comment_created__question")["comment"]["author"]
        event = parse(payload)
        assert isinstance(event, Ignored)
        assert event.reason == "our own comment"

    def test_before_our_account_is_known_the_comment_goes_on_to_the_workflow(self) -> None:
        assert isinstance(parse(load("comment_created__by_us"), own_account=None), IssueCommented)

    def test_a_name_that_is_none(self) -> None:
        event = parse({"webhookEvent": "<!channel> give me\nall"})
        assert isinstance(event, Ignored)
        assert event.reason == "unknown is a kind of event that is not handled"


class TestMalformed:
    @pytest.mark.parametrize(
        ("path", "value", "sentence"),
        [
            ("webhookEvent", None, "webhookEvent is not a text"),
            ("timestamp", "1795338600000", "timestamp is not a time in milliseconds"),
            ("timestamp", True, "timestamp is not a time in milliseconds"),
            ("timestamp", 10**29, "timestamp is not a time in milliseconds"),
            ("issue", None, "issue is not an object"),
            ("issue.key", "ecd-142", "issue.key is not an issue key"),
            ("issue.key", "ECD-142/../../secret", "issue.key is not an issue key"),
            ("issue.fields", [], "issue.fields is not an object"),
            ("issue.fields.summary", None, "issue.fields.summary is not a text"),
            ("comment.id", "../1", "comment.id is not an id"),
            ("comment.id", 1.5, "comment.id is not an id"),
            ("comment.body", 7, "comment.body is neither a text nor a document"),
            ("comment.body", None, "comment.body is missing"),
            ("comment.author", "ben", "comment.author is not an object"),
            ("comment.updateAuthor", [], "comment.updateAuthor is not an object"),
            ("comment.author.accountId", "x]evil", "comment.author.accountId is not an account id"),
            ("comment.created", "yesterday", "comment.created is not a time with its zone"),
            ("comment.created", "2026-11-22T09:10:00", "comment.created is not a time with its zone"),
            ("comment.updated", 5, "comment.updated is not a text"),
            ("comment.jsdPublic", "false", "comment.jsdPublic is not true or false"),
            ("comment.visibility", "Administrators", "comment.visibility is not an object"),
            ("comment.visibility", {"type": "role"}, "comment.visibility.value is missing"),
        ],
    )
    def test_names_the_field(self, path: str, value: object, sentence: str) -> None:
        payload = load("comment_created__question")
        *parents, last = path.split(".")
        target = payload
        for name in parents:
            target = target[name]
        target[last] = value
        with pytest.raises(Malformed, match=f"^{sentence}$"):
            parse(payload)

    @pytest.mark.parametrize("path", ["timestamp", "issue", "comment", "comment.id", "comment.created", "issue.fields"])
    def test_names_what_is_missing(self, path: str) -> None:
        payload = load("comment_created__question")
        *parents, last = path.split(".")
        target = payload
        for name in parents:
            target = target[name]
        del target[last]
        with pytest.raises(Malformed, match=f"^{path} is missing$"):
            parse(payload)

    def test_a_changelog_of_the_wrong_type(self) -> None:
        payload = load("issue_updated__status") | {"changelog": {"items": {"field": "status"}}}
        with pytest.raises(Malformed, match=r"^changelog.items is not a list$"):
            parse(payload)


class TestAutomation:
    def ask(self, payload: dict[str, Any]) -> object:
        return jira_automation.parse(payload, watches=watches, at=AT)

    def test_a_comment(self) -> None:
        event = self.ask(load("automation__comment"))
        assert event == DraftRequested(issues=("ECD-142",), comment_id="20001", by="jira:automation", at=AT)

    @pytest.mark.parametrize("extra", [{"comment": ""}, {"comment": None}, {}])
    def test_the_issue_itself(self, extra: dict[str, Any]) -> None:
        event = self.ask({"issue": "ECD-142", "id": 7, **extra})
        assert event == DraftRequested(issues=("ECD-142",), comment_id=None, by="jira:automation", at=AT)

    def test_another_project(self) -> None:
        event = self.ask({"issue": "OPS-1", "id": "x"})
        assert isinstance(event, Ignored)
        assert event.reason == "project OPS is not among those that are watched"

    @pytest.mark.parametrize(
        ("payload", "sentence"),
        [
            ({}, "id is missing"),
            ({"id": "a"}, "issue is missing"),
            ({"issue": "ECD-1", "id": None}, "id is not a text of 1 to 200 characters"),
            ({"issue": "ECD-1", "id": " "}, "id is not a text of 1 to 200 characters"),
            ({"issue": 5, "id": "a"}, "issue is not a text"),
            ({"issue": "ECD-1", "id": "a", "comment": ["1"]}, "comment is not an id"),
        ],
    )
    def test_malformed(self, payload: dict[str, Any], sentence: str) -> None:
        with pytest.raises(Malformed, match=f"^{sentence}$"):
            self.ask(payload)


def _ours() -> list[str]:
    return sorted(p.stem for p in OURS.glob("*.json") if not p.stem.startswith("automation"))


@pytest.mark.parametrize("folder", [OURS, THEIRS], ids=["ours", "shared"])
def test_every_recording_is_understood_or_named_as_ignored(folder: Path) -> None:
    if not folder.is_dir():
        pytest.skip(f"THE SHARED RECORDINGS ARE NOT HERE: {folder}")
    files = [p for p in sorted(folder.glob("*.json")) if not p.stem.startswith("automation")]
    assert len(files) > 10
    for file in files:
        event = jira.parse(json.loads(file.read_text()), watches=lambda _: True, own_account=None)
        if isinstance(event, Ignored):
            assert event.kind != "unknown", file
            assert event.reason, file
        else:
            assert EVENT.validate_python(event.model_dump(mode="json")) == event, file
            kind = file.stem.partition("__")[0]
            if kind.startswith("comment"):
                assert event.kind == "issue_commented", file
            elif kind == "issue_created":
                assert event.kind == "issue_created", file


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """One of our payloads with one to four places removed or replaced."""
    payload = load(draw(st.sampled_from(_ours())))
    damage(draw, payload)
    return payload


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
def test_a_damaged_payload_is_an_event_a_silence_or_malformed(payload: dict[str, Any]) -> None:
    try:
        event = jira.parse(payload, watches=lambda _: True, own_account=None)
    except Malformed:
        return
    assert isinstance(event, Ignored) or EVENT.validate_python(event.model_dump(mode="json")) == event
