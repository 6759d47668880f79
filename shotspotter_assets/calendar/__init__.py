"""A city's clock: local days and hours, weekdays, firework days."""
