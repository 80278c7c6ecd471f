"""`python -m bot check`: tries for real everything that the settings name.

`doctor` is the command; `database`, `services`, `slack` and `trail` try one thing each and give its `lines`.
"""
