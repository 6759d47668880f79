"""The notebook `notebooks/explore.ipynb`: choices, alerts, forecasts beside what happened, and small folds."""
