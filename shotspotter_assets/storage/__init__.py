"""The store of the assets' files, on a local folder or S3."""
