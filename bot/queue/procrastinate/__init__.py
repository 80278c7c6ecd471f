"""The engine of any number of processes, `engine.ProcrastinateQueue`: jobs in procrastinate's table in PostgreSQL.

Of procrastinate it uses the schema, and `JobManager`, which fetches a job, registers a worker, and is held by the tests
of this package. It does not run procrastinate's `Worker`, which cannot let a kind rest, gives each kind a connection of
its own, and forgets a job whose end it could not store. `runner` does that part: one for each kind. `lifeline` is the
process's registration as a worker, and looks after the jobs of those that died.
"""
