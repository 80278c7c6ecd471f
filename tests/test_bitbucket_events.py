"""A real Bitbucket payload in, our own event or an exact sentence out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.domain.events import EVENT, BranchPushed, BuildReported, Ignored, Malformed, PullRequestChanged
from bot.domain.issue_keys import find_keys
from handlers.bitbucket import events as bitbucket
from tests.damage import damage

OURS = Path(__file__).parent / "fixtures" / "bitbucket"
THEIRS = Path(__file__).parents[2] / "shared" / "fixtures" / "bitbucket"
NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


def load(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((OURS / f"{name}.json").read_text())
    return found


def event_key(file: str) -> str:
    """The event key of a file: its name up to `__`, with the first `_` as `:`."""
    return file.partition("__")[0].replace("_", ":", 1)


def watches(project: str) -> bool:
    return project == "ECD"


def parse(name: str, payload: dict[str, Any] | None = None, **options: Any) -> object:
    return bitbucket.parse(
        event_key(name), load(name) if payload is None else payload, watches=watches, received=NOW, **options
    )


def pull_request(name: str) -> PullRequestChanged:
    event = parse(name)
    assert isinstance(event, PullRequestChanged)
    return event


class TestPullRequests:
    def test_created(self) -> None:
        event = pull_request("pullrequest_created")
        found = event.pull_request
        assert (event.issues, event.action) == (("ECD-142",), "created")
        assert (found.id, found.repository, found.number) == ("acme/exporter#12", "acme/exporter", 12)
        assert (found.title, found.state, found.draft) == ("ECD-142 Stream large reports", "OPEN", False)
        assert (found.branch, found.target) == ("feature/ECD-142-stream-reports", "main")
        assert found.url == "https://bitbucket.org/acme/exporter/pull-requests/12"
        assert (found.author, found.author_id) == ("Ana Ruiz", "712020:a0a0a0a0-1111-4111-8111-aaaaaaaaaaaa")
        assert found.reviewers == ("Ben Okafor", "Chen Wei")
        assert (found.approved_by, found.changes_requested_by) == ((), ())
        assert found.updated == datetime(2026, 11, 22, 9, 5, tzinfo=UTC)
        assert event.by is not None
        assert event.by.name == "Ana Ruiz"

    @pytest.mark.parametrize(
        ("name", "approved", "objecting"),
        [
            ("pullrequest_approved__one_of_two", ("Ben Okafor",), ()),
            ("pullrequest_unapproved", (), ()),
            ("pullrequest_changes_request_created", ("Ben Okafor",), ("Chen Wei",)),
            ("pullrequest_changes_request_removed", ("Ben Okafor",), ()),
            ("pullrequest_fulfilled", ("Ben Okafor", "Chen Wei"), ()),
        ],
    )
    def test_who_thinks_what(self, name: str, approved: tuple[str, ...], objecting: tuple[str, ...]) -> None:
        found = pull_request(name).pull_request
        assert (found.approved_by, found.changes_requested_by) == (approved, objecting)

    def test_an_approval_counts_where_the_participants_do_not_have_it_yet(self) -> None:
        payload = load("pullrequest_approved__one_of_two")
        payload["pullrequest"]["participants"] = []
        event = parse("pullrequest_approved", payload)
        assert isinstance(event, PullRequestChanged)
        assert event.pull_request.approved_by == ("Ben Okafor",)

    def test_an_approval_withdrawn_counts_where_the_participants_still_have_it(self) -> None:
        payload = load("pullrequest_approved__one_of_two")
        event = parse("pullrequest_unapproved", payload)
        assert isinstance(event, PullRequestChanged)
        assert event.pull_request.approved_by == ()

    def test_when_it_was_opened_and_each_approval_came(self) -> None:
        found = pull_request("pullrequest_fulfilled").pull_request
        assert found.opened == datetime(2026, 11, 22, 9, 1, tzinfo=UTC)
        assert found.approved_at.keys() == {"Ben Okafor", "Chen Wei"}
        now = pull_request("pullrequest_approved__one_of_two").pull_request
        assert now.approved_at == {"Ben Okafor": datetime(2026, 11, 22, 9, 8, tzinfo=UTC)}, "as the event itself says"
        assert pull_request("pullrequest_unapproved").pull_request.approved_at == {}

    def test_an_approval_is_newer_than_the_last_change(self) -> None:
        event = pull_request("pullrequest_approved__one_of_two")
        assert event.at == event.pull_request.updated == datetime(2026, 11, 22, 9, 8, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("name", "state"), [("pullrequest_fulfilled", "MERGED"), ("pullrequest_rejected", "DECLINED")]
    )
    def test_the_end(self, name: str, state: str) -> None:
        found = pull_request(name).pull_request
        assert (found.state, found.closed, bool(found.closed_by)) == (state, found.updated, True)

    def test_who_merged_it_is_who_did_it_where_bitbucket_does_not_say(self) -> None:
        payload = load("pullrequest_fulfilled")
        payload["pullrequest"].pop("closed_by", None)
        payload["actor"]["display_name"] = "Chen Wei"
        event = parse("pullrequest_fulfilled", payload)
        assert isinstance(event, PullRequestChanged)
        assert event.pull_request.closed_by == "Chen Wei"

    @pytest.mark.parametrize("name", ["pullrequest_comment_created__inline", "pullrequest_comment_resolved"])
    def test_comments_are_context(self, name: str) -> None:
        assert pull_request(name).issues == ("ECD-142",)

    def test_a_draft_on_a_branch_in_lower_case(self) -> None:
        name = "pullrequest_created__draft_lower_case_branch"
        event = parse(name, projects=("ECD", "OPS"))
        assert isinstance(event, PullRequestChanged)
        assert event.issues == ("ECD-142",)
        assert event.pull_request.draft
        assert isinstance(parse(name), Ignored), "which projects there are is not known"

    def test_an_address_that_is_none(self) -> None:
        payload = load("pullrequest_created")
        payload["pullrequest"]["links"]["html"]["href"] = "javascript:alert(1)"
        event = parse("pullrequest_created", payload)
        assert isinstance(event, PullRequestChanged)
        assert event.pull_request.url == ""


class TestPushes:
    def test_a_branch(self) -> None:
        event = parse("repo_push__branch_with_key")
        assert isinstance(event, BranchPushed)
        assert (event.issues, event.repository) == (("ECD-142",), "acme/exporter")
        assert (event.branch, event.deleted, event.at) == ("feature/ECD-142-stream-reports", False, NOW)
        assert event.commits == ("ECD-142 close the file when the client goes away", "Stream rows")

    def test_a_key_in_a_commit(self) -> None:
        event = parse("repo_push__key_in_commit")
        assert isinstance(event, BranchPushed)
        assert (event.issues, event.branch) == (("ECD-142",), "main")

    def test_a_branch_deleted(self) -> None:
        event = parse("repo_push__branch_deleted")
        assert isinstance(event, BranchPushed)
        assert (event.deleted, event.commits) == (True, ())

    def test_several_branches(self) -> None:
        event = parse("repo_push__two_branches")
        assert isinstance(event, BranchPushed)
        assert (event.branch, event.issues) == ("ECD-143-notes", ("ECD-143", "ECD-142"))


class TestBuilds:
    def test_a_failure(self) -> None:
        event = parse("repo_commit_status_updated__failed")
        assert isinstance(event, BuildReported)
        assert (event.issues, event.state, event.name) == (("ECD-142",), "FAILED", "Pipeline #812")
        assert (event.repository, event.branch) == ("acme/exporter", "feature/ECD-142-stream-reports")
        assert event.url == "https://bitbucket.org/acme/exporter/pipelines/results/812"
        assert event.commit == "0123456789" * 4

    def test_the_key_is_in_the_commit(self) -> None:
        event = parse("repo_commit_status_updated__key_in_commit")
        assert isinstance(event, BuildReported)
        assert (event.issues, event.branch, event.state) == (("ECD-142",), "", "SUCCESSFUL")


class TestIgnored:
    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("pullrequest_created__no_key", "no issue key of a watched project in branch, title or commits"),
            ("repo_push__no_key", "no issue key of a watched project in branch, title or commits"),
            ("repo_push__tag", "a push of tags only"),
            ("repo_fork", "repo:fork is a kind of event that is not handled"),
            ("issue_created", "issue:created is a kind of event that is not handled"),
        ],
    )
    def test_by_its_name(self, name: str, reason: str) -> None:
        event = parse(name)
        assert isinstance(event, Ignored)
        assert (event.reason, event.kind) == (reason, event_key(name))

    @pytest.mark.parametrize(
        ("key", "reason"),
        [
            ("diagnostics:ping", "a test of the connection"),
            ("pr:opened", "pr:opened comes from Bitbucket Data Center, which is not handled"),
            ("<!channel>", "unknown is a kind of event that is not handled"),
            ("pullrequest:juggled", "pullrequest:juggled is a kind of event that is not handled"),
        ],
    )
    def test_keys_that_others_send(self, key: str, reason: str) -> None:
        event = bitbucket.parse(key, {"test": True}, watches=watches, received=NOW)
        assert isinstance(event, Ignored)
        assert event.reason == reason

    def test_an_empty_push(self) -> None:
        event = parse("repo_push", load("repo_push__tag") | {"push": {"changes": []}})
        assert isinstance(event, Ignored)
        assert event.reason == "an empty push"


class TestKeys:
    @pytest.mark.parametrize(
        ("branch", "texts", "keys"),
        [
            ("feature/ECD-1-x", (), ("ECD-1",)),
            ("feature_ECD-1_x", (), ("ECD-1",)),
            ("bugfix-ECD-1", (), ("ECD-1",)),
            ("ecd-1", (), ("ECD-1",)),
            ("fix/Ecd-12", ("OPS-3",), ("ECD-12", "OPS-3")),
            ("main", ("[ECD-7] and (ECD-8), ECD-7 again", "OPS-1"), ("ECD-7", "ECD-8", "OPS-1")),
            ("main", ("ecd-7 in words is no key", "NOPE-1", "ECD-0", "ECD-1x", "XECD-1", "ECD1-2"), ()),
            ("ECD-2", ("ECD-1 before",), ("ECD-2", "ECD-1")),
        ],
    )
    def test_where_they_are_found(self, branch: str, texts: tuple[str, ...], keys: tuple[str, ...]) -> None:
        projects = ("ECD", "OPS")
        assert find_keys(branch, *texts, watches=projects.__contains__, projects=projects) == keys

    def test_many(self) -> None:
        text = " ".join(f"ECD-{n}" for n in range(1, 200))
        assert len(find_keys("main", text, watches=watches)) == 20


class TestMalformed:
    @pytest.mark.parametrize(
        ("name", "path", "value", "sentence"),
        [
            ("pullrequest_created", "pullrequest", None, "pullrequest is not an object"),
            ("pullrequest_created", "pullrequest.id", "12", "pullrequest.id is not a whole number"),
            ("pullrequest_created", "pullrequest.title", 1, "pullrequest.title is not a text"),
            ("pullrequest_created", "pullrequest.source.branch", None, "pullrequest.source.branch is not an object"),
            (
                "pullrequest_created",
                "pullrequest.updated_on",
                "now",
                "pullrequest.updated_on is not a time with its zone",
            ),
            ("pullrequest_created", "repository.full_name", "../x", "repository.full_name is not workspace/repository"),
            ("pullrequest_approved__one_of_two", "approval", None, "approval is not an object"),
            ("repo_push__tag", "push.changes", {}, "push.changes is not a list"),
            ("repo_push__tag", "push.changes", [1], "push.changes holds something that is not an object"),
            ("repo_push__tag", "push.changes", [{}], "push.changes.new and push.changes.old are both missing"),
            ("repo_commit_status_created", "commit_status.state", None, "commit_status.state is not a text"),
            (
                "repo_commit_status_created",
                "commit_status.commit.hash",
                "a b",
                "commit_status.commit.hash is not an id",
            ),
        ],
    )
    def test_names_the_field(self, name: str, path: str, value: object, sentence: str) -> None:
        payload = load(name)
        *parents, last = path.split(".")
        target = payload
        for part in parents:
            target = target[part]
        target[last] = value
        with pytest.raises(Malformed, match=f"^{sentence}$"):
            parse(name, payload)


@pytest.mark.parametrize("folder", [OURS, THEIRS], ids=["ours", "shared"])
def test_every_recording_is_understood_or_named_as_ignored(folder: Path) -> None:
    if not folder.is_dir():
        pytest.skip(f"THE SHARED RECORDINGS ARE NOT HERE: {folder}")
    files = sorted(folder.glob("*.json"))
    assert len(files) > 10
    for file in files:
        payload = json.loads(file.read_text())
        event = bitbucket.parse(event_key(file.stem), payload, watches=lambda _: True, received=NOW)
        if isinstance(event, Ignored):
            assert event.kind == event_key(file.stem), file
            assert event.reason, file
        else:
            assert EVENT.validate_python(event.model_dump(mode="json")) == event, file


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """One of our payloads with one to four places removed or replaced."""
    name = draw(st.sampled_from(sorted(p.stem for p in OURS.glob("*.json"))))
    payload = load(name)
    damage(draw, payload)
    return event_key(name), payload


@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
def test_a_damaged_payload_is_an_event_a_silence_or_malformed(case: tuple[str, dict[str, Any]]) -> None:
    key, payload = case
    try:
        event = bitbucket.parse(key, payload, watches=lambda _: True, received=NOW)
    except Malformed:
        return
    assert isinstance(event, Ignored) or EVENT.validate_python(event.model_dump(mode="json")) == event
