"""The daily chain: models in force, forecasts, patrol plans, scores."""
