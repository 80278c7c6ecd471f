"""Puts a situation into the stand-ins of Jira and Bitbucket, and lets its event happen."""

from __future__ import annotations

import asyncio
import zlib
from datetime import timedelta
from typing import Any

import aiohttp

from bot.demo.bitbucket import BitbucketPullRequest
from bot.demo.jira.world import Account, JiraComment, JiraIssue
from bot.demo.stage import Stage
from bot.evals.situation import NOW, Said, Situation, StagedIssue, StagedPullRequest
from bot.store.opening import data_at

REPOSITORY = "acme/app"
A_DAY = timedelta(days=1)
STORED_WITHIN, LOOK_EVERY = 20.0, 0.1
"""Seconds for a request from Slack until it is stored, and between two looks."""


async def put(stage: Stage, situation: Situation) -> None:
    """All that is there before the event. Pull requests are announced: the program knows them from webhooks alone."""
    jira, key = stage.jira, situation.issue.key
    for person in situation.people:
        jira.people[person.handle] = Account(person.handle, person.id, person.name, person.kind)
        stage.bitbucket.people[person.handle] = jira.people[person.handle]
    for ticket in (situation.issue, *situation.others):
        name = ticket.key.rpartition("-")[0]
        if name not in jira.projects:
            desk = ticket is situation.issue and situation.public_replies
            jira.project(name, name.title(), kind="service_desk" if desk else "software")
    for pull in situation.pulls:
        await _pull(stage, pull)
    # A situation has the same numbers in every run, whichever others run: what the model is shown is compared. So from
    # here to the event nothing waits, and no other situation comes between.
    jira.number_from(10_000_000 + zlib.crc32(situation.id.encode()) % 1_000_000 * 100)
    below = [other for other in situation.others if other.more.get("parent") == key]
    for other in situation.others:
        if other not in below:
            _issue(stage, other)
    issue = _issue(stage, situation.issue)
    for child in below:
        _issue(stage, child)
    for change in situation.changes:
        item = {
            "field": change.field, "fieldtype": "jira", "fieldId": change.field, "from": None, "to": None,
            "fromString": change.before or None, "toString": change.after or None,
        }  # fmt: skip
        issue.history.append(
            {"id": jira.next_id(), "author": jira.account(change.by), "created": change.at, "items": [item]}
        )
        issue.updated = max(issue.updated, change.at)
    before = situation.comments[:-1] if situation.event == "comment" else situation.comments
    for said in before:
        _write(stage, issue, said)


def _issue(stage: Stage, ticket: StagedIssue) -> JiraIssue:
    details = ticket.model_dump(exclude={"key", "summary", "more"})
    if ticket.due:
        details["due"] = ticket.due.isoformat()
    return stage.jira.issue(ticket.key, ticket.summary, **details, **ticket.more)


def _write(stage: Stage, issue: JiraIssue, said: Said) -> JiraComment:
    visibility = {"type": "role", "value": said.restricted, "identifier": said.restricted} if said.restricted else None
    written = stage.jira.write(issue.key, said.by, said.text, public=said.public, at=said.at, visibility=visibility)
    if said.edited:
        written.updated = said.edited
    return written


async def _pull(stage: Stage, pull: StagedPullRequest) -> None:
    bitbucket = stage.bitbucket
    found = bitbucket.pull_requests[REPOSITORY, pull.number] = BitbucketPullRequest(
        pull.number, pull.title, bitbucket.people[pull.by], REPOSITORY,
        pull.branch or f"feature/{pull.title.split()[0]}",
        draft=pull.draft, reviewers=[bitbucket.people[who] for who in pull.reviewers],
        verdicts={
            **dict.fromkeys(pull.approved_by, "approved"),
            **dict.fromkeys(pull.changes_requested_by, "changes_requested"),
        },
        decided=dict.fromkeys((*pull.approved_by, *pull.changes_requested_by), pull.at),
        created=pull.opened or pull.at - A_DAY, updated=pull.at,
    )  # fmt: skip
    await bitbucket.announce("pullrequest:created", found, found.author, at=pull.at)
    for build in pull.builds:
        await bitbucket.build(found.branch, build.state, name=build.name, repo="app", at=build.at)
    if pull.merged_by or pull.declined:
        found.state = "MERGED" if pull.merged_by else "DECLINED"
        who = bitbucket.people[pull.merged_by or pull.by]
        key = "pullrequest:fulfilled" if pull.merged_by else "pullrequest:rejected"
        await bitbucket.announce(key, found, who, at=pull.at)


async def _ask(stage: Stage, situation: Situation) -> None:
    """Ask for a draft: as a rule of Jira Automation, or as an approver in Slack."""
    key, comments = situation.issue.key, stage.jira.issues[situation.issue.key].comments
    if situation.event == "command":
        await stage.slack.command(stage.slack.approvers[0], text=f"draft {key}")
        return
    body = {"issue": key, "comment": comments[-1].id if comments else "", "id": situation.id}
    headers = {"X-PMAgent-Token": stage.env["JIRA_AUTOMATION_TOKEN"]}
    async with aiohttp.ClientSession() as session, session.post(stage.jira.target, json=body, headers=headers):
        return


async def _asked(stage: Stage, key: str) -> str:
    """The id of the event in which a draft was asked for. Slack is acknowledged before it is stored."""
    for _ in range(round(STORED_WITHIN / LOOK_EVERY)):
        with data_at(stage.data, None).snapshot() as snapshot:
            for record in snapshot.find("webhook_events", issue=key, kind="draft_requested"):
                return str(record["id"])
        await asyncio.sleep(LOOK_EVERY)
    raise LookupError(f"the program did not take the request for a draft on {key}")


async def happen(stage: Stage, situation: Situation) -> str:
    """Let the event happen; the id that the program gave it. Raises LookupError when it did not take it."""
    jira, issue = stage.jira, stage.jira.issues[situation.issue.key]
    more: dict[str, Any] = {"timestamp": round(NOW.timestamp() * 1000)}
    if situation.event == "comment":
        written = _write(stage, issue, situation.comments[-1])
        await jira.announce("comment_created", issue, written)
    elif situation.event == "edit":
        last = issue.comments[-1]
        await jira.announce("comment_updated", issue, last)
    elif situation.event == "created":
        await jira.announce_issue("jira:issue_created", issue, issue.reporter, None, more)
    elif situation.event == "description":
        item = {
            "field": "description", "fieldtype": "jira", "fieldId": "description", "from": None, "to": None,
            "fromString": situation.before or None, "toString": issue.description,
        }  # fmt: skip
        issue.updated = NOW
        more["changelog"] = {"id": jira.next_id(), "items": [item]}
        await jira.announce_issue("jira:issue_updated", issue, issue.reporter, "issue_updated", more)
    else:
        await _ask(stage, situation)
        return await _asked(stage, issue.key)
    delivery = jira.deliveries[-1]
    if not delivery.event_id:
        raise LookupError(f"the program answered {delivery.status} to the webhook of {situation.id}")
    return delivery.event_id
