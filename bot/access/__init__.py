"""Who may do what (`people`), and whether an interaction is really theirs (`origin`)."""
