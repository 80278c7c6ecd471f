"""The promises on a hostile wire: a proxy (`proxy`) between the program and each service delays, cuts and swallows.

A number in a test's name is that fault's row in the project's list of faults, as in `tests/acceptance`.
"""
