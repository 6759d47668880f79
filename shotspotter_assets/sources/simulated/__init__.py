"""The simulated city, whose true probabilities are known: where clusters begin, their offspring, the truth."""
