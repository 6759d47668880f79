"""What this project changes about the Dagster instance; the assets do not need it."""
