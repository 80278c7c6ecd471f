"""What comes from Jira: its webhooks, and the requests of Jira Automation rules.

`endpoint` knows who sent it, `payloads` are its shapes, `events` what a webhook means, `automation` what a rule asks.
"""
