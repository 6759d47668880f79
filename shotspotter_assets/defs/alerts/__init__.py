"""Days of alerts: as received, cleaned, and as counts on the grid."""
