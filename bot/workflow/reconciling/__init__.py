"""What no webhook brought is found by asking, at start and every hour, and taken in as its webhook would have been.

`jira` asks Jira, by the rules of `checkpoint`; `bitbucket` asks Bitbucket; `health` says how the last runs went.
"""
