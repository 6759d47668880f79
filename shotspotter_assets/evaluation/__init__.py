"""Scores of forecasts tables, the gate that a forecast has to pass, and the reports and pictures made of them.

Forecasters, baselines among them, are in `models`; what is served every day, and why, is decided in `serving`.
"""
