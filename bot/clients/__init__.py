"""Outbound: one port for each service, small verbs in our own words, our own errors (`bot.errors`).

A service's room has its `client` (the verbs), `wire` (one request and its answer), `read` (answers become our own
types) and `errors` (what a failure means). `slack` and `claude` are asynchronous. `jira` and `bitbucket` block
underneath (requests): they run on `worker_threads`, whose `sockets` can be closed from outside, and share `responses`
(what an answer's status or its absence means) and `values` (texts and times out of an answer).
"""
