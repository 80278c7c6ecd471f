"""The Bitbucket client against the stand-in: a pull request read again, and what each failure means."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from bot.clients.bitbucket import Bitbucket, refreshed
from bot.demo.bitbucket import BitbucketPullRequest, BitbucketStandIn
from bot.demo.wire import Fault, Server
from bot.domain.issues import PullRequest
from bot.errors import Down, Gone, Permanent, PMAgentError, RetryLater
from bot.settings import Settings, load

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def settings_for(standin: BitbucketStandIn, **changes: str) -> Settings:
    return load(
        {
            "ANTHROPIC_API_KEY": "sk-ant-x",
            "ATLASSIAN_SERVICE_ACCOUNT_EMAIL": "a@example.com",
            "ATLASSIAN_SERVICE_ACCOUNT_TOKEN": "t",
            "JIRA_URL": "https://example.atlassian.net",
            "JIRA_WEBHOOK_SECRET": "a-secret-of-jiras",
            "SLACK_BOT_TOKEN": "xoxb-x",
            "SLACK_APP_TOKEN": "xapp-x",
            "SLACK_CHANNEL_APPROVALS": "C0001",
            "PMAGENT_APPROVERS": "U0001",
            "BITBUCKET_URL": f"{standin.base}/2.0",
            "BITBUCKET_TOKEN": standin.token,
            **changes,
        }
    )


def known(found: BitbucketPullRequest) -> PullRequest:
    return PullRequest(
        id=found.id, repository=found.repository, number=found.number, title="old", url="https://b.example/1",
        state="OPEN", keys=("ECD-1",), builds={"CI": "FAILED"}, updated=LONG_AGO,
    )  # fmt: skip


REFUSED = {"type": "error", "error": {"message": "Refused"}}


@pytest.fixture
async def standin() -> AsyncIterator[BitbucketStandIn]:
    found, server = BitbucketStandIn(), Server()
    server.mount("/bitbucket/", found.application())
    await server.start()
    found.base = f"{server.url}/bitbucket"
    yield found
    await found.close()
    await server.stop()


@pytest.fixture
async def bitbucket(standin: BitbucketStandIn) -> AsyncIterator[Bitbucket]:
    client = Bitbucket(settings_for(standin), deadline=2.0)
    yield client
    await client.close()


async def test_a_pull_request_is_read_again(standin: BitbucketStandIn, bitbucket: Bitbucket) -> None:
    there = standin.pull_request("ECD-1 Stream", branch="feature/ECD-1", reviewers=["ben", "chen"], approved_by=["ben"])
    there.verdicts["chen"] = "changes_requested"
    there.state = "MERGED"
    found = await bitbucket.pull_request(known(there))
    assert (found.title, found.state, found.author) == ("ECD-1 Stream", "MERGED", "Ana Ruiz")
    assert found.reviewers == ("Ben Okafor", "Chen Wei")
    assert found.approved_by == ("Ben Okafor",)
    assert found.changes_requested_by == ("Chen Wei",)
    assert (found.branch, found.target) == ("feature/ECD-1", "main")
    assert (found.keys, found.builds) == (("ECD-1",), {"CI": "FAILED"}), "what Bitbucket does not say here stays"
    assert found.updated > LONG_AGO
    assert found.opened == there.created
    assert found.approved_at == {"Ben Okafor": there.decided["ben"]}


async def test_without_a_token_nothing_is_asked(standin: BitbucketStandIn) -> None:
    client = Bitbucket(settings_for(standin, BITBUCKET_TOKEN=""))
    there = known(standin.pull_request())
    assert not client.configured
    assert await client.pull_request(there) == there
    assert await client.check() == ""
    assert not standin.exchanges
    await client.close()


async def test_both_kinds_of_token(standin: BitbucketStandIn, bitbucket: Bitbucket) -> None:
    assert "repository" in await bitbucket.check()
    standin.email = "bot@example.com"
    client = Bitbucket(settings_for(standin, BITBUCKET_EMAIL=standin.email))
    assert await client.check() == "PM Agent"
    assert (await client.pull_request(known(standin.pull_request()))).number == 1
    await client.close()


async def test_a_netrc_login_does_not_replace_the_token(
    standin: BitbucketStandIn,
    bitbucket: Bitbucket,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(netrc))
    assert (await bitbucket.pull_request(known(standin.pull_request()))).number == 1


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("answer", 401), Down),
        (Fault("answer", 403, body=REFUSED), Gone),
        (Fault("answer", 404, body=REFUSED), Gone),
        (Fault("answer", 400, body=REFUSED), Permanent),
        (Fault("answer", 403, body="<html>Blocked</html>"), Down),
        (Fault("answer", 404, body="<html>Page unavailable</html>"), Down),
        (Fault("answer", 404, body={"status": 404, "message": "No route"}), Down),
        (Fault("answer", 302, {"Location": "https://login.example.net/"}), Down),
        (Fault("answer", 429, {"Retry-After": "3"}), RetryLater),
        (Fault("answer", 500), RetryLater),
        (Fault("answer", 200, body="<html>"), Down),
        (Fault("answer", 200, body={"status": "maintenance"}), Down),
        (Fault("drop"), RetryLater),
        (Fault("hang", seconds=10), RetryLater),
    ],
)
async def test_what_an_answer_means(
    standin: BitbucketStandIn, bitbucket: Bitbucket, fault: Fault, expected: type[PMAgentError]
) -> None:
    there = known(standin.pull_request())
    standin.fail("pullrequests", fault)
    with pytest.raises(expected) as caught:
        await bitbucket.pull_request(there)
    assert type(caught.value) is expected
    standin.fail("pullrequests", fault)
    with pytest.raises(expected):
        await bitbucket.open_pull_requests(there.repository)
    assert standin.token not in str(caught.value)


async def test_a_bad_token_is_told(standin: BitbucketStandIn) -> None:
    client = Bitbucket(settings_for(standin, BITBUCKET_TOKEN="wrong"))
    with pytest.raises(RetryLater, match="Token is invalid"):
        await client.check()
    await client.close()


def test_an_odd_answer_changes_nothing() -> None:
    there = PullRequest(
        id="a/b#1", repository="a/b", number=1, title="t", url="u", state="OPEN", reviewers=("Ben",), updated=LONG_AGO
    )
    odd = {"participants": "x", "reviewers": None, "title": 5, "state": [], "source": "s", "updated_on": "never"}
    assert refreshed(there, odd) == there


async def test_open_pull_requests_page_by_page_with_peoples_verdicts(
    standin: BitbucketStandIn, bitbucket: Bitbucket
) -> None:
    for number in range(1, 61):
        standin.pull_request(f"ECD-{number} Export", approved_by=("ben",), state="MERGED" if number == 7 else "OPEN")
    standin.pull_request("ECD-1 Elsewhere", repo="bar")
    found = await bitbucket.open_pull_requests("acme/foo")
    assert sorted(one.number for one in found) == [n for n in range(1, 61) if n != 7]
    first = next(one for one in found if one.number == 1)
    assert (first.id, first.title, first.state) == ("acme/foo#1", "ECD-1 Export", "OPEN")
    assert (first.approved_by, first.reviewers) == (("Ben Okafor",), ("Ben Okafor", "Chen Wei"))
    assert (first.branch, first.url) == ("feature/ECD-1", f"{standin.base}/acme/foo/pull-requests/1")
    assert len(standin.calls("/pullrequests")) == 2
    with pytest.raises(Gone):
        await bitbucket.open_pull_requests("acme/none")
