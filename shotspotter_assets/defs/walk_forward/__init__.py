"""Walk-forward folds: their models, their reports, and the report over all folds of a city."""
