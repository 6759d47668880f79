"""Where to send patrol units: maximum coverage of expected alerts, exports for dispatch systems, audit numbers."""
