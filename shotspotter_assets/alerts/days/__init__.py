"""The state of each day: known, unknown or held back."""
