"""Forecasters of the next minutes, on top of those of the next hours."""
