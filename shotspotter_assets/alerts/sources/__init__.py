"""Kinds of sources, and rows as received."""
