"""Models that serve, issued forecasts, streets, plans, scores and nowcasts."""
