"""Daily products: live models, forecasts, nowcasts and their scores."""
