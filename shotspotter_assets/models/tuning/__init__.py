"""Searches of better settings by Optuna: the task of a search, the search here or on SageMaker, and its stored outcome."""
