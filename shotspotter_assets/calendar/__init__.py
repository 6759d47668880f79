"""The calendar and the clock of a city."""
