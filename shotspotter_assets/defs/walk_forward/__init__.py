"""Fold models and their reports."""
