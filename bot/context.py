"""Context: the services that every use case is given. One object, made once by `bot.wiring`."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from bot.access.people import People
    from bot.clients.bitbucket import Bitbucket
    from bot.clients.claude.client import Claude
    from bot.clients.jira.client import Jira
    from bot.clients.slack.client import Slack
    from bot.clock import Clock
    from bot.domain.leases import Leases
    from bot.domain.outages import Outages
    from bot.prompting import Prompts
    from bot.queue import Queue
    from bot.settings import Settings
    from bot.store import Store


@dataclass
class Context:
    """Settings, the store, the four outside services, who may do what, the clock, leases, the queue, what is
    known of outages."""

    settings: Settings
    store: Store
    slack: Slack
    jira: Jira
    bitbucket: Bitbucket
    claude: Claude
    prompts: Prompts
    people: People
    clock: Clock
    leases: Leases
    queue: Queue = field(init=False)
    outages: Outages = field(init=False)
    drawing: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)
    """Held while this process sends a draft's card, by the draft's id."""
    introduced: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when `jira.account_id`, our own account, is known: remembered from an earlier start, or told by Jira."""
    first_since: datetime | None = None
    """When this process came, where no other one was at the data then: nobody has done what fell due before."""
