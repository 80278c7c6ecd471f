"""The backup archive: one portable file with all tables. `layout` says what is in it, `writing` and `reading` do so."""
