"""The simulated city: where and when clusters begin, and their offspring."""
