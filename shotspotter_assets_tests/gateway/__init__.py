"""A gateway of alerts that answers as recorded, as a city to try: `python -m shotspotter_assets_tests.gateway`."""
