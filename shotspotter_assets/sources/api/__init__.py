"""Live sources that are asked over HTTP: one module per platform, and what they share (`http`, `json_rows`)."""
