"""A model version becomes a scorer."""
