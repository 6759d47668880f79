"""The next minutes: the forecast of the hour, lifted after recent incidents."""
