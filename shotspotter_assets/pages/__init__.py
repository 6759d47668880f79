"""The pages that people open: a static site of each city, made from what is stored."""
