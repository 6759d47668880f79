"""Build by setuptools, for tools that call this file; others build as ``pyproject.toml`` says, from the same metadata."""

from setuptools import find_packages, setup

setup(
    packages=find_packages(include=["shotspotter_assets", "shotspotter_assets.*"]),
    package_data={"shotspotter_assets": ["**/*"]},
)
