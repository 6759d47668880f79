"""What runs every day: the models in force, the forecasts made with them, and how those did."""
