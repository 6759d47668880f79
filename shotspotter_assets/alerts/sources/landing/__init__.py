"""Files of alerts that land in folders."""
