"""Where the assets' files are."""
