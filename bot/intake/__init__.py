"""Where an event enters: its record and its jobs, once (`accept`), and what ends with its arrival (`silence`)."""
