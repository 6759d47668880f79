"""Export of issued forecasts for others: files of a hub as hubverse describes them (https://hubverse.io)."""
