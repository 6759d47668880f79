"""The city model, and the YAML file of each city."""
