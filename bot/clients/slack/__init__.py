"""The port to Slack's Web API, over slack_sdk.

`client` has the verbs. `wire` sends one request, `pace` keeps writes within what Slack takes, `read` turns answers into
our own types, and `errors` says what a failure means.
"""
