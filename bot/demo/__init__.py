"""Stand-ins for Slack, Jira, Bitbucket and Claude that speak their wire protocols, and a page to play with them.

`jira`, `slack`, `claude` and `bitbucket` are the stand-ins, over `wire` and, for webhooks, `hooks`. `stage` puts them
on one port with the program as a `process`. `story` is what the demo begins with; `show` is the demo in the browser
(`site`, `view`), `play` the one in the terminal.

The program under the stand-ins is the real one, unchanged: it is pointed at them by its ordinary settings. Nothing but
`bot.commands` and the tests imports this package.
"""
