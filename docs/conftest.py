"""Runs the Python examples of the how-tos as tests; the examples of one page share their names."""

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

pytest_collect_file = Sybil(parsers=[PythonCodeBlockParser()], patterns=["how-to/*.md"]).pytest()
