"""Folds: their models, the report of each, and the report of a city over all of its folds."""
