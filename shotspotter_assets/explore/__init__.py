"""What the notebook `notebooks/explore.ipynb` shows: choices, alerts, forecasts beside what happened, and small folds."""
