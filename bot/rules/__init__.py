"""The rules, as pure functions: facts in, verdict out."""
