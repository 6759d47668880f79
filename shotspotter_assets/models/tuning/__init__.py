"""Searches of better settings by Optuna: the task of a search, the search here or on SageMaker, and its stored outcome.

A trial is fitted on the training window; its value is the log loss of its forecasts of the validation window. No day after a
fold's cutoff is read.
"""
