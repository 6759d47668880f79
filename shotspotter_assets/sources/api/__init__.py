"""Live sources that are asked over HTTP: one module per platform, and the HTTP client that they share (`http`)."""
