"""The store of the assets' files, on a local folder or S3: their names, their hashes, and what can go wrong."""
