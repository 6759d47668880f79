"""Grid tensors."""
