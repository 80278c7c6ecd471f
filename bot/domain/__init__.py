"""What the program knows, as values: events, issues, drafts, leases. Pure data, and their state machines."""
