"""The recipe: what a run does, as data."""
