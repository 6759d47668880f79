"""Every use of private Dagster, each with a guard and a test."""
