"""What people see in Slack follows what the store holds, whatever is restarted.

`card` keeps a draft's message in step with the draft, in the frame that `frames` found this Slack to take; `redrawing`
does so for many cards in turn; `announcing` is every other message, each once.
"""
