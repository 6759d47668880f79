"""Live sources over HTTP."""
