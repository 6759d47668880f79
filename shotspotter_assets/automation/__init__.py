"""Compare stored data with their inputs and return the runs that are due."""
