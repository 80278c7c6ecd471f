"""`python -m bot audit verify`: is the trail what it was, and what of that is proved.

Standard output has one line, the verdict. What stands behind it is for people, and goes to standard error: what was
compared, which erasures there were, and what nothing proves.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.reports.heads import Heads
    from bot.store.audit import Erasure, Spans
    from bot.store.data import Snapshot
    from bot.store.examining import Examination

MAX_LISTED = 20
"""Erasures, and spans of one erasure, that are listed."""


def run_verify(args: argparse.Namespace) -> int:
    """`audit verify [--head HASH] [--slack]`. Raises `UserError`."""
    from bot.store.audit import Published, UnreadableRecord, verify
    from bot.store.data import DamagedData
    from bot.store.examining import examined
    from bot.store.opening import data

    given = [] if args.head is None else [Published(_whole(args.head))]
    try:
        with data().snapshot() as snapshot:
            heads = _in_slack(snapshot) if args.slack else None
            found = examined(snapshot, [*given, *(heads.known if heads else ())])
            more = list(_about_slack(heads, snapshot)) if heads else []
    except DamagedData as error:  # nothing of it can be read, and that is what there is to say
        print(verify([UnreadableRecord(str(error))]))
        return 1
    print(found.verdict, flush=True)
    for line in [*_report(found), *more]:
        print(line, file=sys.stderr)
    return 0 if found.verdict.broken_at is None else 1


def _whole(head: str) -> str:
    """A head that may be in a trail: what was lost while it was copied says nothing about one. Raises `UserError`."""
    from bot.errors import UserError
    from bot.store.audit import SHORT_HEAD

    if not re.fullmatch(rf"\s*[0-9a-fA-F]{{{SHORT_HEAD},64}}\s*", head):
        digits = f"64 hex digits, of which the first {SHORT_HEAD} do"
        raise UserError(f"{head!r} is not a head, so nothing was verified: a head has {digits}.")
    return head


def _in_slack(snapshot: Snapshot) -> Heads:
    """Every head that Slack has, in the channels that the bot is in, and that the trail and the settings name: who can
    write the data can have them name none. Raises `UserError`."""
    from bot.clients.slack.client import Slack
    from bot.errors import PMAgentError, UserError
    from bot.log import configure
    from bot.reports.heads import Window, published, standups, window
    from bot.settings import SettingsError, load

    try:
        settings = load()
    except SettingsError as error:
        raise UserError(f"--slack needs the settings of the bot, and they are not whole:\n{error}") from None
    configure(settings)
    named = {channel for channel, _ in standups(snapshot.find("audit", action="standup.posted"))}
    named |= {settings.slack_channel_approvals, settings.standup_channel}
    windows: list[Window] = [
        window(line["details"]["backup_of"], line["at"]) for line in snapshot.find("audit", action="store.restored")
    ]
    if restore := snapshot.get("state", "restored"):
        windows.append(window(restore["created"], restore["at"]))

    async def read() -> Heads:
        slack = Slack(settings)
        try:
            await slack.start()
            return await published(slack, sorted({*named, *await slack.own_channels()}), windows)
        finally:
            await slack.close()

    try:
        return asyncio.run(read())
    except PMAgentError as error:
        raise UserError(f"Slack could not be read, so nothing was verified: {error}") from None


def _report(found: Examination) -> Iterator[str]:
    chain = found.chain
    yield from (f"Wrong as well, at seq {seq}: {why}." for seq, why in found.all_wrong[1:])
    whole = "are one unbroken chain" if chain.broken is None else "before the first bad one are one unbroken chain"
    texts, deleted = found.texts, found.gone
    yield f"What was compared: the {chain.records:,} records of the trail {whole}; {_texts(found)}"
    if gone := deleted["drafts"] + deleted["webhook_events"]:
        yield f"Gone since, as the retention's records allow: {gone:,} of {sum(texts.values()) + gone:,}."
    vouched = max((known.seq or 0 for known in chain.wanted if known.head in chain.reached), default=0)
    heads = f"{len(chain.reached):,} published head{'s' if len(chain.reached) != 1 else ''}"
    if not chain.wanted:
        yield (
            "Not proved: who can write the data can write all of it anew. --head HASH and --slack compare it with "
            "heads that were published."
        )
    elif vouched:
        yield f"Proved by {heads}: records 1 to {vouched:,} are what they were when they were published."
        yield f"Not proved: nothing outside of the data vouches for the rest, {chain.records - vouched:,} records."
    elif chain.reached:
        yield f"Proved by {heads}: what stands before is what it was then. Not proved: what came after."
    yield (
        "In no hash: the reasons that Claude gave, cards and messages, and what admins set; and what was deleted by "
        "the retention."
    )
    yield from _erasures(chain.erasures)


def _texts(found: Examination) -> str:
    return (
        f"the texts of {found.texts['webhook_events']:,} events, and the wordings, decisions and comments of "
        f"{found.texts['drafts']:,} drafts, are those of their hashes." if found.wrong is None else
        "a text is not that of its hash."
    )  # fmt: skip


def _erasures(erasures: list[Erasure]) -> Iterator[str]:
    if not erasures:
        yield "Erased: nothing."
        return
    yield f"Erased, by {len(erasures)} erase records. Who can write the data can forge one: was each asked for?"
    for erasure in erasures[:MAX_LISTED]:
        blanked = "; ".join(
            f"{leaf.removeprefix('details.')} of {_spans(found)}" for leaf, found in erasure.blanked.items()
        )
        yield f"  record {erasure.seq}, {erasure.at}: {blanked or 'nothing in the trail'}"
    if len(erasures) > MAX_LISTED:
        yield f"  and {len(erasures) - MAX_LISTED} more: python -m bot audit export"


def _spans(found: Spans) -> str:
    shown = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in found[:MAX_LISTED])
    return shown + (f" and {len(found) - MAX_LISTED} more spans" if len(found) > MAX_LISTED else "")


def _about_slack(heads: Heads, snapshot: Snapshot) -> Iterator[str]:
    from bot.reports.heads import standups

    missing = standups(snapshot.find("audit", action="standup.posted")) - heads.posts
    yield f"Slack has {len(heads.posts):,} standups with a head."
    yield from (f"The channel {channel} cannot be read: {why}" for channel, why in heads.closed.items())
    if missing:
        yield (
            f"{len(missing):,} more are named in the trail and were not found: they went with the workspace's "
            "retention, or somebody deleted them."
        )
    if heads.lost:
        yield f"{len(heads.lost):,} were published between a backup and its restore, so their heads went with it."
