"""Stock SQLite event log in the folder of the instance."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from dagster import Field, StringSource
from dagster._core.storage.event_log import SqliteEventLogStorage


class StockSqliteEventLogStorage(SqliteEventLogStorage):
    """Stock SQLite event log; `base_dir` is `$DAGSTER_HOME/history/runs` unless set."""

    @classmethod
    def config_type(cls) -> Any:
        return {"base_dir": Field(StringSource, is_required=False)}

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Mapping[str, Any]) -> Self:
        home = os.environ.get("DAGSTER_HOME")
        if not home and "base_dir" not in config_value:
            raise ValueError("event_log_storage in dagster.yaml needs base_dir where DAGSTER_HOME is not set")
        return cls(config_value.get("base_dir") or str(Path(home or "", "history", "runs")), inst_data)
