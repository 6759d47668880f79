"""Audits of where the burden of forecasts falls, and of what became of alerts."""
