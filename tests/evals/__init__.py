"""Situations for `python -m bot evals`, and the tests of what they are run and scored with."""
