"""Where to send patrol units: a maximum coverage problem over expected alerts, exports for dispatch systems, audit numbers."""
