"""A draft's next state is decided by a click, or by time: compare and set, in one commit.

`decision` has the buttons, `edit_windows` knows which edit windows were opened, and `expiring` ends what
nobody decided on.
"""
