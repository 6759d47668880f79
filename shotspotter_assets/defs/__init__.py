"""The Dagster side: one file per asset, a plain function that `definitions` decorates; what starts runs; resources."""
