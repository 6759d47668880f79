"""Raw and cleaned alerts."""
