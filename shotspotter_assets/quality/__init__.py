"""Checks of the stored tables, each a function from a `Window` to a `Finding` and a row of `all_checks`."""
