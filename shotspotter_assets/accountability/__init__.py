"""What became of alerts, where the burden of forecasts falls, and what a city owes its public."""
