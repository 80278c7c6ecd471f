"""Who may speak: signatures over the raw bytes, and nothing else."""

from __future__ import annotations

import hmac
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.webhooks.signature import verify
from tests.sidecar_harness import JIRA_SECRET, TOKEN, payload, raw, running, sign

BODY = b"Hello World!"
ANY_TEXT = st.text(st.characters(), max_size=40)  # lone surrogates too
VECTOR = "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"


class TestVerify:
    def test_jiras_own_vector(self) -> None:
        assert verify(["It's a Secret to Everybody"], BODY, VECTOR)

    def test_upper_case_hex_is_the_same_number(self) -> None:
        assert verify([JIRA_SECRET], BODY, "sha256=" + VECTOR.removeprefix("sha256=").upper())

    def test_several_secrets(self) -> None:
        assert verify(["new", JIRA_SECRET], BODY, VECTOR)
        assert not verify(["new"], BODY, VECTOR)

    @pytest.mark.parametrize(
        "header",
        [
            None, "", "sha256=", "sha256", VECTOR.removeprefix("sha256="), VECTOR.replace("sha256", "sha1"),
            VECTOR.replace("sha256", "SHA256"), VECTOR[:-1], VECTOR + "0", VECTOR[:-1] + "g", " " + VECTOR,
            VECTOR + "\n", "sha256=" + "é" * 64, "sha256=" + "٣" * 64, "x" * 10_000,
            f"{VECTOR}, {VECTOR}", "sha256=" + "0" * 64,
            "sha1=" + hmac.digest(JIRA_SECRET.encode(), BODY, "sha1").hex(),
        ],
    )  # fmt: skip
    def test_anything_else_is_wrong(self, header: str | None) -> None:
        assert not verify([JIRA_SECRET], BODY, header)

    @pytest.mark.parametrize("secrets", [[], [""], [" "], ["", "\t"]])
    def test_blank_secrets_never_count(self, secrets: list[str]) -> None:
        for secret in ("", " ", "\t"):
            assert not verify(secrets, BODY, "sha256=" + hmac.digest(secret.encode(), BODY, "sha256").hex())

    @pytest.mark.parametrize(
        "changed",
        [b"Hello World", b"Hello World!\n", b"\xef\xbb\xbfHello World!", b"Hello  World!", b"Hello World\xa1", b""],
    )
    def test_only_the_raw_bytes_count(self, changed: bytes) -> None:
        assert not verify([JIRA_SECRET], changed, VECTOR)

    @given(st.lists(ANY_TEXT, max_size=3), st.binary(max_size=50), st.none() | ANY_TEXT | st.just(VECTOR))
    def test_never_anything_but_yes_or_no(self, secrets: list[str], body: bytes, header: str | None) -> None:
        assert verify(secrets, body, header) in (True, False)

    def test_a_secret_that_cannot_be_checked(self) -> None:
        assert not verify(["\ud800"], BODY, VECTOR)

    @given(st.binary(min_size=1, max_size=200), st.integers(min_value=0))
    def test_one_bit_is_enough(self, body: bytes, where: int) -> None:
        header = sign(body)
        changed = bytearray(body)
        changed[where % len(body)] ^= 1 << where % 8
        assert verify([JIRA_SECRET], body, header)
        assert not verify([JIRA_SECRET], bytes(changed), header)


class TestAtTheDoor:
    @pytest.mark.parametrize(
        "signature",
        ["", "sha256=", "sha1=" + "0" * 40, "x" * 10_000, "sha256=" + "0" * 64, "sha256=" + "\xe9" * 64, "=", "\t"],
    )
    async def test_a_wrong_signature_is_401_and_leaves_no_trace(self, tmp_path: Path, signature: str) -> None:
        async with running(tmp_path) as sidecar:
            answer = await sidecar.jira(payload("comment_created__question"), X_Hub_Signature=signature)
            assert answer.status == 401
            assert answer.json == {"status": "refused", "reason": "the signature is absent or wrong"}
            assert await sidecar.records() == []
            assert await sidecar.actions() == []
            assert await sidecar.jobs() == []

    async def test_no_signature(self, tmp_path: Path) -> None:
        async with running(tmp_path) as sidecar:
            for path in ("/webhooks/jira", "/webhooks/bitbucket"):
                answer = await sidecar.send(path, b"not even JSON", {"Content-Type": "text/plain"})
                assert answer.status == 401

    async def test_a_signature_that_is_sent_twice(self, tmp_path: Path) -> None:
        body = raw(payload("comment_created__question"))
        async with running(tmp_path) as sidecar:
            twice = [
                ("Content-Type", "application/json"),
                ("X-Hub-Signature", sign(body)),
                ("X-Hub-Signature", sign(body)),
            ]
            assert (await sidecar.send("/webhooks/jira", body, twice)).status == 401

    async def test_a_body_that_was_written_again(self, tmp_path: Path) -> None:
        body = raw(payload("comment_created__question"))
        async with running(tmp_path) as sidecar:
            for changed in (b"\xef\xbb\xbf" + body, body + b"\n", body.replace(b", ", b",", 1)):
                answer = await sidecar.jira(changed, X_Hub_Signature=sign(body))
                assert answer.status == 401
            assert (await sidecar.jira(body)).status == 202

    async def test_rotation(self, tmp_path: Path) -> None:
        one, two, three = (payload(f"comment_created__{name}") for name in ("question", "small_talk", "hostile"))
        old, new = "the-old-one-of-jira", "the-new-one-of-jira"
        async with running(tmp_path, JIRA_WEBHOOK_SECRET=f"{old}, {new}") as sidecar:
            assert (await sidecar.jira(one, secret=old)).status == 202
            assert (await sidecar.jira(two, secret=new)).status == 202
        async with running(tmp_path, JIRA_WEBHOOK_SECRET=new) as sidecar:
            assert (await sidecar.jira(three, secret=old)).status == 401
            assert (await sidecar.jira(three, secret=new)).status == 202

    async def test_each_source_has_its_own_secret(self, tmp_path: Path) -> None:
        body = raw(payload("pullrequest_created", "bitbucket"))
        headers = {"Content-Type": "application/json", "X-Hub-Signature": sign(body, JIRA_SECRET)}
        async with running(tmp_path) as sidecar:
            headers["X-Event-Key"] = "pullrequest:created"
            assert (await sidecar.send("/webhooks/bitbucket", body, headers)).status == 401

    async def test_bitbucket_without_a_secret_has_no_door(self, tmp_path: Path) -> None:
        async with running(tmp_path, BITBUCKET_WEBHOOK_SECRET="") as sidecar:
            answer = await sidecar.bitbucket("pullrequest:created", payload("pullrequest_created", "bitbucket"))
            assert answer.status == 404
            assert (await sidecar.get("/webhooks/bitbucket")).status == 404


class TestToken:
    async def test_a_wrong_signature_is_never_rescued_by_a_token(self, tmp_path: Path) -> None:
        async with running(tmp_path) as sidecar:
            answer = await sidecar.automation(payload("automation__comment"), X_Hub_Signature="sha256=" + "0" * 64)
            assert answer.status == 401
            assert (await sidecar.automation(payload("automation__comment"), X_Hub_Signature="")).status == 401

    @pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", "\xe9", "x" * 5000, JIRA_SECRET])
    async def test_a_wrong_token(self, tmp_path: Path, token: str) -> None:
        async with running(tmp_path) as sidecar:
            answer = await sidecar.automation(payload("automation__comment"), token)
            assert answer.status == 401
            assert await sidecar.records() == []

    @pytest.mark.parametrize("token", ["", " ", "None", "null"])
    async def test_without_a_token_configured_none_is_right(self, tmp_path: Path, token: str) -> None:
        async with running(tmp_path, JIRA_AUTOMATION_TOKEN="") as sidecar:
            assert (await sidecar.automation(payload("automation__comment"), token)).status == 401

    async def test_a_token_does_not_open_bitbuckets_door(self, tmp_path: Path) -> None:
        async with running(tmp_path) as sidecar:
            headers = {"Content-Type": "application/json", "X-PMAgent-Token": TOKEN, "X-Event-Key": "repo:push"}
            body = raw(payload("repo_push__tag", "bitbucket"))
            assert (await sidecar.send("/webhooks/bitbucket", body, headers)).status == 401
