"""From an event to the words of a draft: the steps of which `bot.reactions` makes its answer.

`rule_skips` settles what needs no model, `asking` has Claude decide and write, `supporting` looks up what the words
state, and `ending` is how an event ends without a draft.
"""
