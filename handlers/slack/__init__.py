"""What comes from Slack: clicks, modals, commands, an opened tab.

`connection` and `http` are the two ways in, `decoding` makes `interactions` of `payloads`, and `listeners` has the
table of who is called for what: `approvals`, `learning`, `home`, or `handlers.slash_command`. `private_answers` is what
one person is told and nobody else.
"""
