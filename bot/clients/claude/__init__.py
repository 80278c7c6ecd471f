"""The port to Claude, over Anthropic's SDK, which `client` alone imports, and only for its first call.

`client` makes one call within the budget, `pause` waits when Claude asked for it, `read` turns a message into our own
answer, `record` is what is kept of a call, and `errors` says what a failure means.
"""
