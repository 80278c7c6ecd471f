"""The stand-in for Slack.

`stand_in` has the verbs to play a workspace's users; `state` is what there is in it and `people` who. The program comes
in by `api`, the door of all `methods`, and is told by `payloads`, over `socket_mode` or HTTP. Block Kit is checked by
`limits`, with `elements`, `rich_text` and the `rules` for both.
"""
