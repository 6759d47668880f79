"""Runs the Python examples of the how-tos as tests; the examples of one page share their names."""

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=["how-to/*.md"],
    excludes=[
        "how-to/new_forecaster.md"
    ],  # its code is part of the registry; test_new_forecaster_guide.py runs it there
).pytest()
