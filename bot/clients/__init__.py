"""Outbound: one port for each service, small verbs in our own words, our own errors (`bot.errors`).

`jira` and `bitbucket` block underneath (requests) and run on `threads`; `slack` and `claude` are asynchronous.
`…_wire` sends one request and takes its answer, `…_read` reads the shapes of answers into our own types, and what
failures mean is in `slack_errors`, `claude_errors` and, for Jira and Bitbucket, in `responses`.
"""
