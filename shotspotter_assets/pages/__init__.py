"""Static pages of each city, made from the store."""
