"""Dagster objects and nothing else: thin assets and checks over the domain code, loaded by folder."""
