"""The notebook's views, and small folds."""
