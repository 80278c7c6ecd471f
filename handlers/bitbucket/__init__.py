"""What comes from Bitbucket: its webhooks.

`endpoint` knows its headers, `payloads` are its shapes, and `events` what a webhook means.
"""
