import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shotspotter_assets_tests.automation.living_city import NAME, LivingCity
from shotspotter_assets_tests.conftest import made_once
from shotspotter_assets_tests.migration import kept_store
