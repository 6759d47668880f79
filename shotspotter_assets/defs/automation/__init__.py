"""Sensors, schedules, conditions and notices."""
