"""Checks of stored alerts."""
