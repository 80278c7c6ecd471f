"""Evals: invented situations go through the real program, and what the model makes of them is scored.

::

    tests/evals/situations/*.toml → `situation`   what there is, what happens, what is due
    `staging`    puts a situation into the stand-ins of Jira and Bitbucket (`bot.demo`)
    `running`    the real program (`program`), with the model behind `recorder`, which keeps requests and answers
    `scoring`    rules about an answer, by itself, pure; `language` for one of them
    `report`, `page`   the table in the terminal, the page with every request

`python -m bot evals` is `bot.commands.evals`.
"""
