"""Live sources asked over HTTP: one module per platform, and a common HTTP client."""
