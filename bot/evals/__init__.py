"""Evals: invented situations go through the real program, and what the model makes of them is scored.

::

    tests/evals/situations/*.toml → `situation`   what there is, what happens, what is due
    `staging`    puts a situation into the stand-ins of Jira and Bitbucket (`bot.demo`)
    `running`    the real program (`program`), with the model behind `recorder`, which keeps requests and answers
    `scoring`    rules about an answer, by itself, pure; `language` for one of them
    `report`, `page`   the table in the terminal, the page with every request

And decided events of an installation go through Claude again, under other prompts::

    the store → `decided` → `replaying` → `replay_page`

The commands are `bot.commands.evals` and `bot.commands.replay`; `html` is what their pages share.
"""
