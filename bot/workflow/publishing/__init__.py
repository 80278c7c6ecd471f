"""From an approved draft to one comment in Jira, and back for ten minutes.

`approved` takes a draft from state to state, `claims` checks what its reply states against fresh facts, `posting` sends
it once and finds out what became of it, and `undoing` takes it back.
"""
