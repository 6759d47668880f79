"""The simulated city: beginnings of clusters, and their offspring."""
