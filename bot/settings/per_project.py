"""Settings that a project may have of its own. Until it can, the overall values are those of every project.

Whoever acts for one project asks here, and never reads such a setting directly.
"""

from __future__ import annotations

from typing import NamedTuple

from bot.settings.declaration import Settings


class ProjectSettings(NamedTuple):
    """What is in force for one project."""

    approvals_channel: str


def settings_for(settings: Settings, project: str) -> ProjectSettings:
    """The settings of a project, by its key (empty: of none in particular)."""
    return ProjectSettings(approvals_channel=settings.slack_channel_approvals)
