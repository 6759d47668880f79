"""What runs every day: the live models, the forecasts made with them, and how those did."""
