"""APIs of alerts."""
