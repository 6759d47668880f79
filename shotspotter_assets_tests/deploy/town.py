"""The city of the deployments' tests."""

TOWN = """
name: {name}
time_zone: America/New_York
start: {first}
end: {last}
box: {{west: -77.06, south: 38.88, east: -77.0, north: 38.93}}
grid: {{rows: 8, columns: 8}}
source: {{kind: simulated, seed: {seed}, alerts_per_day: 12}}
"""
"""A small simulated city's file, without its name, seed, first and last day."""
