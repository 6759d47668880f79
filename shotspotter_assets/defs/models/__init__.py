"""Fold models."""
