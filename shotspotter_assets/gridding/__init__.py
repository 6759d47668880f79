"""From cleaned alerts to counts per hour, gunshot type and cell."""
