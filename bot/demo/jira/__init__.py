"""The stand-in for Jira Cloud.

`stand_in` is a `site` (its issues, webhooks, and verbs to play with it) behind `rest` (the API, with the shapes of
`answers`). `world` is what there is in a site, `jql` its searches, `adf` its document format.
"""
