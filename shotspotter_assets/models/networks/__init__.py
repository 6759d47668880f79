"""Networks: their builders and layers, the windows that they read, their training and their files.

What they forecast for a city, and how they stand beside other forecasters, is in `models/next_day/`.
"""
