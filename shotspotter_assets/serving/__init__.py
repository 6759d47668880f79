"""The daily products: live models, forecasts and their scores."""
