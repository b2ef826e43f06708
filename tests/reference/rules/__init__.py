"""The rules of the catalogue in plain Python, by family; docs/decisions/0042 to 0044 have the readings."""
