"""Forecasters, their inputs and their stored form."""
