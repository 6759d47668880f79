"""A fortnight of a running installation in minutes: the real daemon and webserver, on alerts that land day by day."""
