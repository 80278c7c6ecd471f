"""Stand-ins for Slack, Jira, Bitbucket and Claude that speak their wire protocols, and a page to play with them.

The program under the stand-ins is the real one, unchanged: it is pointed at them by its ordinary settings. Nothing but
`bot.commands` and the tests imports this package.
"""
