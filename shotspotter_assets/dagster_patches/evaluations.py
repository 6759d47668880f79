"""Stores the evaluations of automation conditions compressed, and for a week; stock, they fill the disk.

An evaluation holds for each node of an asset's condition the partitions that it looked at, by name. It grows with the
cities, and is made for every city that changes: 50 cities would store 1.3 GB a day, kept for 30 days. The same names
again and again compress to less than a hundredth. What is shown of an evaluation in the UI stays complete.
"""

import base64
import lzma
import time
from typing import Any, Final

import sqlalchemy as sa
from dagster._core.storage.schedules.schema import AssetDaemonAssetEvaluationsTable
from dagster._core.storage.schedules.sql_schedule_storage import SqlScheduleStorage

from shotspotter_assets.dagster_patches.guard import known

KEPT_DAYS: Final = 7

_PURPOSE: Final = "what automation has evaluated does not fill the disk"

STOCK_PURGE: Final = known(
    "dagster._core.storage.schedules.sql_schedule_storage:SqlScheduleStorage.purge_asset_evaluations",
    parameters="self, before",
    sources=("1004f585c550",),
    purpose=_PURPOSE,
)
known(
    "dagster._core.storage.schedules.sql_schedule_storage:SqlScheduleStorage.add_auto_materialize_asset_evaluations",
    parameters="self, evaluation_id, asset_evaluations",
    sources=("48b174e8c0cc",),
    purpose=_PURPOSE,
)

_MARK: Final = "xz:"
"""Begins what is compressed; JSON begins otherwise, so that rows stored before can be read."""


class CompressedText(sa.types.TypeDecorator[str]):
    """Text that is compressed in the database."""

    impl = sa.Text
    cache_ok = True
    """Statements that hold it may be cached, as it has no settings."""

    def process_bind_param(self, value: str | None, dialect: Any) -> str | None:
        """What is stored."""
        if value is None:
            return None
        return _MARK + base64.b64encode(lzma.compress(value.encode(), preset=3)).decode()

    def process_result_value(self, value: str | None, dialect: Any) -> str | None:
        """What was given to be stored."""
        if value is None or not value.startswith(_MARK):
            return value
        return lzma.decompress(base64.b64decode(value.removeprefix(_MARK))).decode()


def apply() -> None:
    """Let all schedule storages of this process compress evaluations and forget them after `KEPT_DAYS`."""
    AssetDaemonAssetEvaluationsTable.c.asset_evaluation_body.type = CompressedText()
    SqlScheduleStorage.purge_asset_evaluations = _purge  # type: ignore[method-assign]


def _purge(self: SqlScheduleStorage, before: float) -> None:
    STOCK_PURGE(self, max(before, time.time() - KEPT_DAYS * 86_400))
