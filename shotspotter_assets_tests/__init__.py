"""Tests of shotspotter_assets; the folders mirror the package."""
