"""Evaluation reports, by city and fold whose test window is over."""

import base64
import json
from typing import Any

import dagster as dg

from shotspotter_assets.cities.model import City
from shotspotter_assets.defs.environment import PARTITIONS
from shotspotter_assets.defs.grids.assets import GRID_FILE, grid_tensors
from shotspotter_assets.defs.models.assets import fold_models
from shotspotter_assets.defs.models.files import RECORD_FILE, read_model, read_record
from shotspotter_assets.defs.partition_keys import city_and_cutoff
from shotspotter_assets.defs.resources import SourcesResource, StoreResource
from shotspotter_assets.gridding.tensors import dense_window
from shotspotter_assets.partitions import DAYS_TO_NEXT_CUTOFF, SAME_FOLD, fold_days
from shotspotter_assets.storage.store import Partition, Store
from shotspotter_assets.training.record import counts_sha256

REPORT_FILE = "report.json"
FORECASTS_FILE = "forecasts.parquet"
NETWORK = "conv_lstm"


class StaleModelError(ValueError):
    """A fold's network was trained on other counts than the store holds now."""
