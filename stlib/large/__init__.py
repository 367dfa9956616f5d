"""Pictures larger than memory: the same numbers from tiles (tiles.py, parts.py), some rows at a time (rows.py)."""
