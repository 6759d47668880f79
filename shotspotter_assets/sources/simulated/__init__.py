"""The simulated city, whose true intensity is known."""
