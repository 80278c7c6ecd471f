"""What people change, and why they skip, is kept for the next request and the next prompt.

`corrections` keeps edited drafts and forgets them, `skipping` the reasons for a skip, and `proposing` has Claude
suggest one change of the prompts each week.
"""
