"""Runs the Python examples of the how-tos as tests; the examples of one page share their names."""

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=["how-to/*.md"],
    # Their code becomes a part of the package; test_new_forecaster_guide.py and test_guides.py run it there.
    excludes=["how-to/new_forecaster.md", "how-to/new_daily_product.md"],
).pytest()
