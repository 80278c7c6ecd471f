"""The stand-in for Anthropic's Messages API.

`stand_in` answers, `rules` refuse what the API refuses, `writer` writes in Claude's place, and `claims` says what a
reply states.
"""
