"""The settings out of the environment, `.env` and files: right, or every problem at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from pydantic import ValidationError

from bot import environment as outside
from bot.safety.misplaced import looks_secret, shown_or_hidden
from bot.settings.cautions import SHORTEST_MEANT, doubts
from bot.settings.declaration import Settings
from bot.settings.hints import REQUIRED, WHERE
from bot.settings.problems import Problem, SettingsError

# An empty text means "off" for these two, so it must not be dropped as unset.
_EMPTY_MEANS_OFF = ("PMAGENT_STANDUP_AT", "PMAGENT_RATE_LIMIT")

TOKENS = {
    "xoxb-": ("SLACK_BOT_TOKEN",), "xapp-": ("SLACK_APP_TOKEN",), "sk-ant-": ("ANTHROPIC_API_KEY",),
    **dict.fromkeys(("ATATT", "ATCTT", "ATBB"), ("ATLASSIAN_SERVICE_ACCOUNT_TOKEN", "BITBUCKET_TOKEN")),
}  # fmt: skip
"""What begins so is a token of one service's, and of use in these settings alone."""
_RANDOM_BY_NATURE = ("ATLASSIAN_CLOUD_ID",)

# Placeholders for what is missing or wrong, so that the others' problems are found in the same run.
_PLACEHOLDERS = {
    "ANTHROPIC_API_KEY": "x", "ATLASSIAN_SERVICE_ACCOUNT_EMAIL": "x@x.invalid", "ATLASSIAN_SERVICE_ACCOUNT_TOKEN": "x",
    "JIRA_URL": "https://x.invalid", "JIRA_WEBHOOK_SECRET": "x" * 64, "SLACK_BOT_TOKEN": "xoxb-x",
    "SLACK_CHANNEL_APPROVALS": "C00", "PMAGENT_APPROVERS": "U00",
}  # fmt: skip


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of this environment (default: ours and `.env`). Raises `SettingsError` with all problems."""
    try:
        written = outside.all_variables() if environment is None else environment
    except outside.UnreadableEnv as error:
        mend = "save it as UTF-8, readable by this user"
        raise SettingsError((Problem(".env", error.why, mend),)) from None
    texts, unread = outside.with_files(written, secret_names())
    values = {name: texts[name].strip() for name in known_names() if name in texts}
    settings, problems = _read(values, unread)
    uncertain = doubts(written, values, known_names(), secret_names())
    if settings is None or problems:
        wrong = {problem.variable for problem in problems}
        raise SettingsError(problems, uncertain, tuple(n for n, text in values.items() if text and n not in wrong))
    settings._doubts = uncertain
    return settings


@cache
def known_names() -> tuple[str, ...]:
    """Every setting's variable, in the order of the declaration."""
    return tuple(name.upper() for name in Settings.model_fields)


@cache
def secret_names() -> tuple[str, ...]:
    """The variables of secrets, which may come from files."""
    return tuple(n.upper() for n, field in Settings.model_fields.items() if "Secret" in str(field.annotation))


def _read(values: Mapping[str, str], unread: Mapping[str, str]) -> tuple[Settings | None, tuple[Problem, ...]]:
    """The settings, and what is wrong. `unread`: what is wrong with the files of secrets, by variable."""
    given = {name.lower(): text for name, text in values.items() if text or name in _EMPTY_MEANS_OFF}
    problems = [Problem(name, why, "") for name, why in unread.items()]
    known = set(unread)
    missing = [name for name in REQUIRED if name.lower() not in given and name not in known]
    problems += [Problem(name, "is blank" if name in values else "is missing", WHERE[name]) for name in missing]
    known |= set(missing)
    settings = None
    for _ in range(2):  # what is wrong between several settings is looked for once each by itself is right
        try:
            settings = Settings.model_validate({n.lower(): text for n, text in _PLACEHOLDERS.items()} | given)
        except ValidationError as error:
            found = [problem for problem in _problems(error, values) if problem.variable not in known]
            problems += found
            known |= {problem.variable for problem in found}
            given = {name: text for name, text in given.items() if name.upper() not in known}
        else:
            break
    problems += [p for name, text in values.items() if name not in known and (p := _misplaced(name, text, values))]
    order = known_names()
    return settings, tuple(sorted(problems, key=lambda p: order.index(p.variable)))


def _misplaced(name: str, text: str, values: Mapping[str, str]) -> Problem | None:
    """What is wrong with a text that its own rule lets pass: quotes, or a secret where it does not belong, which cards
    and logs would repeat, or strangers be sent."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`":
        return Problem(name, "stands in quotes, which count as a part of it", "leave them away")
    if name in secret_names():
        return _misplaced_secret(name, text)
    for other in secret_names():
        if len(secret := values.get(other, "")) >= SHORTEST_MEANT and secret in text:
            return Problem(name, f"holds the text of {other}, which is a secret", WHERE.get(name, ""))
    if name not in _RANDOM_BY_NATURE and looks_secret(text):
        return Problem(name, "holds what looks like a secret, which does not belong here", WHERE.get(name, ""))
    return None


def _misplaced_secret(name: str, text: str) -> Problem | None:
    """What is wrong with the text of a secret that is none, or that belongs elsewhere."""
    for part in (part.strip() for part in text.split(",")):
        if re.fullmatch(r"<.*>|\$[({].*", part):
            return Problem(name, "holds no secret but what is to be replaced by one", WHERE.get(name, ""))
        owners = next((found for begins, found in TOKENS.items() if part.startswith(begins)), (name,))
        if name not in owners:
            return Problem(name, f"holds another token: this one belongs into {' or '.join(owners)}", "")
    return None


def _problems(error: ValidationError, values: Mapping[str, str]) -> list[Problem]:
    found: list[Problem] = []
    for item in error.errors(include_url=False, include_input=False):
        if item["type"] == "settings":
            found += item["ctx"]["problems"]
            continue
        variable = str(item["loc"][0]).upper()
        # What pydantic itself finds is a text of another type: its sentences are for programmers.
        kind = Settings.model_fields[variable.lower()].description or "valid"
        what = (
            item["msg"] if item["type"] == "setting" else f"{shown_or_hidden(values.get(variable, ''))} is not {kind}"
        )
        found.append(Problem(variable, what, WHERE.get(variable, "")))
    return found
