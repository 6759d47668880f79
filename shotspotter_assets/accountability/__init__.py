"""Outcomes of alerts, patrols made, the burden of forecasts, and the account that a city gives its public."""
