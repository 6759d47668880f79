"""The live chain: models in force, forecasts, patrol plans, scores."""
