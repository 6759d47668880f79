"""Sensors of cities, nowcasts and notices, and the weekly schedule."""
