"""Outbound: one module for each service, small verbs in our own words, our own errors (`bot.errors`).

`jira` and `bitbucket` block underneath (requests) and run on `threads`; `slack` and `claude` are asynchronous.
What Jira's answers mean is in `jira_read` (shapes) and `answers` (statuses and failures).
"""
