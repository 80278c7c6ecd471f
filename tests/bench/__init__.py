"""Benchmarks: started by hand, never by pytest. Each prints a table; figures in documents come from here."""
