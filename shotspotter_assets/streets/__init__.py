"""From a file of street lines to segments between crossings, and from alerts to each segment's share of its cell."""
