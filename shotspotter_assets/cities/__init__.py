"""What a city is, and the YAML file of each city."""
