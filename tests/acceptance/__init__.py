"""The promises, tested through the front door: the real program, stand-ins at the wire, people who click.

A number in a test's name (`test_31_killed_around_the_post`) is that fault's row in the project's list of faults,
`../shared/facts/faults.md` beside the tree; the name says what the row is about.
"""
