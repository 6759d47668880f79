"""One table of alerts from rows as received."""
