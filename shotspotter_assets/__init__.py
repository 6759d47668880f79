"""Dagster data assets that turn ShotSpotter gunfire alerts into scored walk-forward forecasts."""
