"""Calendar, cells and shapes, coverage, counts per cell, and factors by cell."""
