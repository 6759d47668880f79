"""Real alerts in several files raise no warning of files that repeat each other."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from shotspotter_assets.quality.landed_twice import landed_twice
from shotspotter_assets.sources.schema import RAW_SCHEMA
from shotspotter_assets_tests.quality.real_cities import cities, load, of_raw, of_real_cities


@pytest.mark.parametrize("split", ["by day", "by month", "a file an alert"])
@pytest.mark.parametrize("name", of_real_cities("washington_dc"))
def test_real_alerts_in_several_files_raise_no_warning(name: str, split: str, real_data: Path) -> None:
    city = cities()[name]
    rows = load(city, real_data).raw.to_pandas()
    day = rows["date"].astype(str)
    file = {"by day": day, "by month": day.str[:7], "a file an alert": pd.Series(np.arange(len(rows)).astype(str))}[
        split
    ]
    numbers = rows.groupby("date").cumcount().astype(str)
    raw = pa.Table.from_pandas(rows.assign(received_from=file, source_id=numbers), RAW_SCHEMA, preserve_index=False)
    real = of_raw(city, raw)
    finding = landed_twice(real.window())
    # A bounded number of days, or the false alarms of single days would add up unseen.
    late = [landed_twice(real.window([day])) for day in real.days[400 :: max(len(real.days) // 12, 1)]]
    assert finding.passed, finding.message
    assert all(finding.passed for finding in late), [finding.message for finding in late if not finding.passed]
