"""Better settings by search: the space of a forecaster's settings, the trials of some of them, and which one was best.

A trial takes settings, is fitted on the training window, tells its losses by epoch, and results in the log loss of its
forecasts of the validation window. No day after a fold's cutoff is looked at; what came of it is judged on later folds.
"""
