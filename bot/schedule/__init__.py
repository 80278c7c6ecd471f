"""What happens by the clock: the rules (`rules`), the runs of timed entries (`runs`), what several processes do in turn
(`turns`), the table (`table`), the loop.

A timed run belongs to a date, and is settled once for that date, whatever is restarted: its claim is the record
`schedule:<name>:<date>` in `keys` ::

    (absent) ─ due, or late within the grace ─→ started ─→ done
        └──── missed ─────────────────────────────┴──────→ skipped

`started` under a lease that has ended means a crash, or a process that hangs: look whether it happened, then go on. The
function itself settles the claim, in the same write as the record of what it did, and only while the claim is its own.
`state/schedule:<name>` remembers the last settled date, so that several missed days are each recorded.
"""
