"""A running installation under files, faults and kills in a seeded random order, which ends with an account."""
