"""What the webhooks of all senders have in common.

`routes` adds the endpoints to the sidecar, `endpoint` has the checks in their order and the answer, and `signature` is
the first of them. What Jira and Bitbucket have of their own is in `handlers.jira` and `handlers.bitbucket`.
"""
