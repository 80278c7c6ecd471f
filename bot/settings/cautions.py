"""Warnings about settings with which the program starts all the same.

Above all a name that nobody reads: a misspelt one is no error to anything, and what it was to change stays as it was.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from itertools import combinations

from bot.safety.misplaced import SHORTEST_SECRET, is_plain
from bot.settings.hints import WHERE
from bot.settings.problems import Problem

PREFIX = "PMAGENT_"
PLANNED = frozenset(
    {
        "PMAGENT_PUBLIC_URL", "PMAGENT_WORKING_HOURS", "PMAGENT_HOLIDAYS", "PMAGENT_REMIND_AFTER", "PMAGENT_DEPUTIES",
        "PMAGENT_FOUR_EYES", "PMAGENT_ALLOWED_IPS", "PMAGENT_BACKUP_HOOK", "BITBUCKET_REPOSITORIES",
    }
)  # fmt: skip
"""Settings of later versions."""
OTHERS = frozenset({"PMAGENT_FAILPOINT", "PMAGENT_REINS", "PMAGENT_SITE", "PMAGENT_UPSTREAM"})
"""What the tests and `deploy/Caddyfile` read; so is everything that begins with `PMAGENT_TEST_`."""
NO_PROJECTS = frozenset({"ALL", "ANY", "NONE"})
"""Words that could be a project's key, and hardly are."""
MAY_BE_ONE = (
    {"ATLASSIAN_SERVICE_ACCOUNT_TOKEN", "BITBUCKET_TOKEN"}, {"JIRA_WEBHOOK_SECRET", "BITBUCKET_WEBHOOK_SECRET"},
)  # fmt: skip
"""Secrets that may be one and the same: who gets the one, gets the other."""
SHORTEST_MEANT = 8
"""Characters from which on the same text in two settings is no coincidence."""
ALIKE = 0.9
"""How like one of ours a name of another prefix has to be; others' tools have names that begin with JIRA_ or SLACK_."""


def doubts(
    written: Mapping[str, str], values: Mapping[str, str], known: Collection[str], secrets: Collection[str]
) -> tuple[Problem, ...]:
    """All of them. `written`: every variable there is; `values`: those of `known`, with what stands in files."""
    found = [doubt for name in sorted(written) if (doubt := _name(name, written, known, secrets))]
    return (*found, *_values(values), *_shared({name: values[name] for name in secrets if values.get(name)}))


def _name(name: str, written: Mapping[str, str], known: Collection[str], secrets: Collection[str]) -> Problem | None:
    """What is odd about this name, if anything."""
    base = name.removesuffix("_FILE")
    if name in known or base in secrets or name in OTHERS or name.startswith(f"{PREFIX}TEST_"):
        return None
    if name in PLANNED:
        return Problem(name, "is a setting of a later version", "this one does not use it")
    if base in known:
        return Problem(name, "is not read: only a secret may come from a file", f"set {base}")
    if not is_plain(name):
        # Not even its name: in a `.env` with a broken line, it is a part of a value.
        what = "holds a name that is not a setting and may be a part of a secret, so it is not repeated"
        return Problem(".env", what, "see its lines that begin with PMAGENT_") if name.startswith(PREFIX) else None
    near = _nearest(name, known)
    if near is None or (near in written and not name.startswith(PREFIX)):
        return None
    return Problem(name, "is not a setting, so it has no effect", f"did you mean {near}?")


def _nearest(name: str, known: Collection[str]) -> str | None:
    """The setting that was probably meant; for a name that may be somebody else's, only one that is nearly the same."""
    if not name.startswith(PREFIX):
        return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=ALIKE)), None)
    # Without the prefix, which all of them have in common.
    ours = {n.removeprefix(PREFIX): n for n in (*known, *sorted(PLANNED)) if n.startswith(PREFIX)}
    return ours[difflib.get_close_matches(name.removeprefix(PREFIX), ours, n=1, cutoff=0.0)[0]]


def _shared(secrets: Mapping[str, str]) -> Iterator[Problem]:
    """Secrets of two services that are one text: whoever has it for the one can use it for the other."""
    for name, other in combinations(sorted(secrets), 2):
        parts = [{part.strip() for part in secrets[one].split(",")} for one in (name, other)]
        shared = any(len(part) >= SHORTEST_MEANT for part in set.intersection(*parts))
        if shared and {name, other} not in MAY_BE_ONE:
            yield Problem(other, f"is the same as {name}, which somebody else has, too", "use a text of its own")


def _values(values: Mapping[str, str]) -> Iterator[Problem]:
    key = values.get("ANTHROPIC_API_KEY", "")
    if key and not key.startswith("sk-ant-") and not values.get("ANTHROPIC_BASE_URL"):
        what = "does not look like a key of Anthropic's, which begins with sk-ant-"
        yield Problem("ANTHROPIC_API_KEY", what, WHERE["ANTHROPIC_API_KEY"])
    if values.get("ANTHROPIC_BASE_URL", "").rstrip("/").endswith("/v1"):
        yield Problem("ANTHROPIC_BASE_URL", "ends in /v1, which is added to it once more", "leave /v1 away")
    watched, public = (
        {part.strip().upper() for part in values.get(name, "").split(",")} - {""}
        for name in ("JIRA_PROJECTS", "JIRA_PUBLIC_REPLIES")
    )
    if words := sorted(watched & NO_PROJECTS):
        what = f"is the key of a project, {words[0]}: no other is watched"
        yield Problem("JIRA_PROJECTS", what, "leave it empty for all projects")
    if watched and public - watched:
        what = "names a project that is not among JIRA_PROJECTS, so it has no effect there"
        yield Problem("JIRA_PUBLIC_REPLIES", what, "add it there, or mend its key")
    token = values.get("JIRA_AUTOMATION_TOKEN", "")
    if 0 < len(token) < SHORTEST_SECRET:
        what = f"is short ({len(token)} characters): whoever guesses it can ask for drafts"
        yield Problem("JIRA_AUTOMATION_TOKEN", what, WHERE["JIRA_AUTOMATION_TOKEN"])
