"""Notices of problems: their messages, their texts, and how they are sent to a webhook and by e-mail."""
