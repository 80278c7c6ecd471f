"""Erasing a person from the records. Pure.

`erase` says what changes: `person` gathers whom it is about, `wording` finds their texts, `scrub` removes them.
"""
