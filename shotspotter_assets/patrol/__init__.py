"""Patrol plans: places for the units of each shift, and exports for dispatch systems."""
