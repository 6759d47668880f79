"""Forecasters of the next hours."""
