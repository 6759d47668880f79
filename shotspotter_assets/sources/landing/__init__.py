"""Files that are landed in a city's folder: which of them are ready, and one module per file format."""
