"""PM Agent: answers a team's Jira questions, with a person's click between every draft and Jira.

The story, as data flows through the tree::

    Jira, Bitbucket                 Slack                         clock
         │ webhook                    │ click, modal, /pmagent      │ due time
         ▼                            ▼                             ▼
    handlers/webhooks/        handlers/slack/                 bot/schedule/
    handlers/jira/            handlers/slash_command/               │
    handlers/bitbucket/             │                               │
         │  verify, parse,            │  who, what                  │
         │  store, answer             │                             │
         └─────────────┬──────────────┴──────────────┬──────────────┘
                       ▼                             ▼
                bot/intake/ an event is accepted     bot/reports/
                bot/reactions/ what it leads to: answer · note
                bot/workflow/  triage → draft → present → decide → publish (→ undo)
                       │ jobs:  bot/work/              what carries them out, and what an error means
                       │ rules: bot/rules/, over the values of bot/domain/      pure
                       │ cards: bot/cards/             pure
                       │ words: prompts/*.md           text; bot/prompting/ makes a request of them
                       │ texts: bot/markup/, bot/safety/, bot/claims/, bot/support/   pure
                       ▼
                bot/clients/  jira · bitbucket · slack · claude
                bot/store/    TinyDB on SQLite, or PostgreSQL
                bot/queue/    carries out the jobs that are stored with the change that asks for them

Beside it: `bot/http/` (the server, and what a request may cost), `bot/access/` (who may do what), `bot/spending/` (what
calls to Claude cost), `bot/schedule/` (what happens by the clock), `bot/settings/`, `bot/log/`, `bot/commands/`,
`bot/evals/` (invented situations, and decided events once more), and `bot/demo/` (stand-ins of the outside).

Imports point one way: pure rules ← ports ← workflow, reports ← handlers ← app; none in a circle.
`tests/test_architecture.py` has each room's layer, and holds it to that. `bot.wiring` puts all of it together, and
`bot.app` runs it.
"""

__version__ = "0.1.0"
