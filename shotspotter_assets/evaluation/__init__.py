"""Scores of forecasts, the quality gate, and reports with pictures."""
