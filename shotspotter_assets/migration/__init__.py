"""Conversion of a store to the present format."""
