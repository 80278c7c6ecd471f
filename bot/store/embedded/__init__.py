"""The store of one process: TinyDB on an SQLite file in the data folder. `store.TinyStore` is the backend."""
