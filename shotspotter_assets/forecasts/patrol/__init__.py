"""Patrol plans: units by place and shift."""
