"""A first city file from a file of alerts."""
