"""Experiments: everything is fixed before the first day, and issued forecasts are scored after the last one."""
