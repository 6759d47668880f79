"""Parts of the notebook `notebooks/explore.ipynb`: stored tables, figures, and small folds."""
