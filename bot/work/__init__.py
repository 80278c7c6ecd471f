"""What the queue carries out, and what happens when an attempt fails: `kinds` is the table of contents.

`other_processes` follows what other processes have changed.
"""
