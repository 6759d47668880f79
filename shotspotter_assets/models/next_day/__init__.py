"""Forecasters of the next day, one a file."""
