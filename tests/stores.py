"""The two stores that promises are held on. `both` marks a test that uses the fixture `stage` and runs on each."""

from __future__ import annotations

import pytest

STORES = ("tinydb", "postgres")
both = pytest.mark.parametrize("stage", STORES, indirect=True)
