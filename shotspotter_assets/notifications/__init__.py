"""Telling someone: what went wrong, to a webhook and by e-mail, once."""
