"""Checks of the stored tables: each tells what is wrong, since when, and what to do.

A check is one file with one function of its name, from a `Window` to a `Finding`, and one row in `all_checks.py`. Checks of
a table's schema are in `schemas.py`.
"""
