"""Reports: facts in, report out. `standup` is the morning's message, `metrics` the figures of `/pmagent stats`.

A report reads Jira and the store, and writes nothing there but the record that it was posted.
"""
