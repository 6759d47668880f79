"""Networks: their builders and layers, the windows that they read, their training and their files."""
