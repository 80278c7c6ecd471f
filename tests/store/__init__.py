"""The store. `test_contract` and `test_machine` hold for every backend, the others for TinyDB on SQLite."""
