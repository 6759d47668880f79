"""Boxes, grids, planes and shapes on the map; nothing here depends on alerts or assets."""
