"""Compare what is stored with what it is made from, and say which runs are due."""
