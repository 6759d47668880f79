"""Training of the networks: configuration, windows over the grid, fitting with resume, predicting."""
