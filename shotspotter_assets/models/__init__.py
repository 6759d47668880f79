"""Forecasters, what they are fitted on, and how they are stored."""
