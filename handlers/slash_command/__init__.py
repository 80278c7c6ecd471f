"""`/pmagent …`: what people ask for in words.

`words` is the table of them, `arguments` reads what follows, `dispatch` asks who says it and runs it, and `pages` is
what is answered.
"""
