"""The HTTP server and what a request may cost: rates, sizes, deadlines, connections."""
