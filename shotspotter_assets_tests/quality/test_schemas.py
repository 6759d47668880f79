import numpy as np
import pandas as pd
import pyarrow as pa

from shotspotter_assets.quality.schemas import cleaned_schema, raw_schema, rejected_schema, schema_finding
from shotspotter_assets_tests.quality.sound_city import CITY, city_of, sound


def test_schemas_name_rule_and_day() -> None:
    city = city_of(pd.concat([sound(seed=7)[:300], sound(seed=7)[:2].assign(longitude=5.0)]))
    assert schema_finding(raw_schema(CITY), [city.raw], "raw_alerts").passed
    assert schema_finding(rejected_schema(CITY), [city.rejected], "cleaned_alerts").passed
    cleaned = cleaned_schema(CITY)
    assert schema_finding(cleaned, [city.alerts], "cleaned_alerts").passed
    assert schema_finding(cleaned, [city.alerts[:0]], "cleaned_alerts").passed
    at = city.alerts.schema.get_field_index
    for name, values in {
        "longitude": np.r_[5.0, city.alerts["longitude"].to_numpy()[1:]],
        "user_id": city.alerts["user_id"].to_numpy() + 1,
        "gunshot_type": np.full(city.alerts.num_rows, 9, dtype=np.int8),
    }.items():
        broken = city.alerts.set_column(at(name), city.alerts.schema.field(name), pa.array(values))
        found = schema_finding(cleaned, [broken], "cleaned_alerts")
        assert not found.passed
        assert name in found.message
        assert "materialise cleaned_alerts again for 2023-01-01" in found.message
    twice = pa.concat_tables([city.raw, city.raw[:1]])
    assert not schema_finding(raw_schema(CITY), [twice], "raw_alerts").passed
