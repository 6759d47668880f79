"""The calendar and the clock of a city: local days and hours with daylight saving, weekdays, holidays, firework days."""
