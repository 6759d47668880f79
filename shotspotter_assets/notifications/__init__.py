"""Notices of problems, sent to a webhook and by e-mail."""
