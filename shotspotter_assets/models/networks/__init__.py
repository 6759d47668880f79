"""The networks, their layers and their training."""
