"""The whole program as a process under a model: what happens to it, and what must hold whatever happens.

`program` runs it with reins, `reins` holds them, `books` reads its store, `world` is everything that can happen to it,
`holds` what must be true, `machine` lets hypothesis choose.
"""
