"""Scores of forecasts, the baselines they are measured against, and the reports made of both."""
