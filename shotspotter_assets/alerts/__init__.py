"""Alerts: sources, rows as received, the state of days, cleaning and checks."""
