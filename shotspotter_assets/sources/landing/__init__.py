"""Files that are landed in a city's folder."""
