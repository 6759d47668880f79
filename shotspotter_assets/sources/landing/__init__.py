"""Files that are landed in a city's folder: which of them are ready, their formats, and the subprocess that reads them."""
