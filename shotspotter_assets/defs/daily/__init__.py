"""The daily chain: live models, forecasts, patrol plans, scores and pages."""
