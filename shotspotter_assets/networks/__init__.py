"""Keras layers, networks and losses. Import these modules inside functions: they import Keras, which takes seconds."""
