"""Settings that a project may have of its own. Until it can, the overall values are those of every project.

Whoever acts for one project asks here, and never reads such a setting directly.
"""

from __future__ import annotations

from typing import NamedTuple

from bot.settings.declaration import Settings


class ProjectSettings(NamedTuple):
    """What is in force for one project."""

    approvals_channel: str
    draft_days: float
    """Days after which an undecided draft expires."""
    public_replies: bool
    """Whether a service desk's customers may see replies."""


def settings_for(settings: Settings, project: str) -> ProjectSettings:
    """The settings of a project, by its key (empty: of none in particular)."""
    return ProjectSettings(
        approvals_channel=settings.slack_channel_approvals,
        draft_days=settings.pmagent_draft_days,
        public_replies=project.upper() in settings.jira_public_replies,
    )
