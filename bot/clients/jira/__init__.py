"""The port to Jira Cloud, over atlassian-python-api.

`client` has the verbs. `wire` sends one request; `read` and `issue` turn answers into our own types; `comments`,
`search`, `related` and `changes` read what takes several requests; `replies` posts our comments and knows them again.
"""
