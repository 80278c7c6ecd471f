"""PM Agent: answers a team's Jira questions, with a person's click between every draft and Jira.

The story, as data flows through the tree::

    Jira, Bitbucket                 Slack                         clock
         │ webhook                    │ click, modal, /pmagent      │ due time
         ▼                            ▼                             ▼
    handlers/webhooks.py      handlers/approvals.py           bot/schedule.py
    handlers/jira.py          handlers/commands.py                  │
    handlers/bitbucket.py     handlers/home.py                      │
         │  verify, parse,            │  who, what                  │
         │  store, answer             │                             │
         └─────────────┬──────────────┴──────────────┬──────────────┘
                       ▼                             ▼
                bot/workflow/, bot/reactions/  bot/reports/
                notice → triage → draft → present → decide → publish (→ undo)
                       │ jobs:  bot/work/                      (what carries them out, and what an error means)
                       │ rules: bot/drafts.py, bot/policy.py, bot/freshness.py   (pure)
                       │ cards: bot/cards/                     (pure)
                       │ words: prompts/*.md                   (text; bot/prompting/ makes a request of them)
                       ▼
                bot/clients/ jira · bitbucket · slack · claude
                bot/store/   TinyDB on SQLite
                bot/queue/   carries out the jobs that are stored with the change that asks for them

Imports point one way: pure rules ← ports ← workflow, reports ← handlers ← app. `tests/test_architecture.py` has each
module's layer, and holds it to that. `bot.app` puts all of it together.
"""

__version__ = "0.1.0"
