"""Forecasters of the next hours: `registry.py` lists them, each has a file of its name, their inputs are in `features.py`."""
