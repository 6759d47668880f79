"""Forecasters: models that are fitted on a window of days and forecast the next one; scoring them does not belong here."""
