"""Scores of forecasts tables, the gate that a forecast has to pass, and the reports and pictures made of them."""
