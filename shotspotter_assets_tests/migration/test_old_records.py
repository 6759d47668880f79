"""Records of 0.2.0 of any content: none fails, and nothing that they state is lost."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shotspotter_assets.migration.conversion import Converted
from shotspotter_assets.migration.from_0_2_0 import convert
from shotspotter_assets_tests.migration.kept_store import differences_of_records, present_path

CITY = "town"
TABLE = "risk_forecasts/city=town/date=2025-04-10/hourly.parquet"
DAY = "2025-04-10"
days = st.dates().map(str)
numbers = st.floats(allow_nan=False, allow_infinity=False)
maybe_numbers = st.none() | numbers
counts = st.integers(0, 10**6)
texts = st.text(max_size=8)
names = st.sampled_from(["stack", "ewma", "alert_counts", "gunshot_types"])
sentences = st.lists(texts, max_size=2)
intervals = st.tuples(numbers, numbers).map(list)
values = st.none() | st.booleans() | counts | numbers | texts


def record(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Records of the city of any content, with some fields."""
    return st.fixed_dictionaries({"city": st.just(CITY), **fields})


gains = st.fixed_dictionaries({"gain": maybe_numbers, "low": maybe_numbers, "high": maybe_numbers, "weeks": counts})
verdicts = st.fixed_dictionaries(
    {
        "served": names,
        "candidate": names,
        "best_baseline": names,
        "gain": gains,
        "predicted_over_observed": maybe_numbers,
        "positives": counts,
        "reasons": sentences,
        "outcome": st.sampled_from(["better", "not worse, not shown to be better", "worse"]),
    }
)
models = st.fixed_dictionaries(
    {
        "settings": st.dictionaries(texts, values | st.lists(values, max_size=2), max_size=2),
        "files": st.dictionaries(texts, texts, max_size=2),
        "seconds_to_train": numbers,
    }
)
day_scores = st.fixed_dictionaries(
    {
        "log_loss": numbers,
        "gain_over_historical_mean": maybe_numbers,
        "hit_rate_5": maybe_numbers,
        "expected_alerts": numbers,
        "observed_alerts": counts,
    }
)
rolling_scores = st.fixed_dictionaries(
    {
        **dict.fromkeys(("days", "replayed", "positives"), counts),
        **dict.fromkeys(("log_loss", "promised_log_loss"), numbers),
        **dict.fromkeys(("hit_rate_5", "predicted_over_observed"), maybe_numbers),
        "gain_over": st.dictionaries(names, gains, max_size=2),
    }
)
minutes_scores = st.fixed_dictionaries(
    {"nowcasts": counts, "came": counts, "expected": numbers, "gain_over_even": maybe_numbers}
)
shift_totals = st.fixed_dictionaries(
    {
        "shift": texts,
        "units": counts,
        **dict.fromkeys(("expected_alerts", "within_reach", "covered", "one_more_unit"), numbers),
    }
)
_issue = {"issue_date": st.just(DAY), "day": days, "lead": counts, "last_known": days}
RECORDS = {
    f"risk_forecasts/city={CITY}/date={DAY}/record.json": record(
        **_issue,
        served=names,
        models_from=days,
        why_served=sentences,
        **dict.fromkeys(("expected_alerts", "expected_alerts_low", "expected_alerts_high"), numbers),
        interval=texts,
        hours=texts,
        drivers=st.dictionaries(texts, sentences, max_size=2),
        issued_at=texts,
        replayed=st.booleans(),
        version=texts,
    )
    | record(**_issue, no_forecast=texts, last_issued=st.none() | days),
    f"live_models/city={CITY}/date={DAY}/record.json": record(
        **dict.fromkeys(("since", "last_trained", "fitted_on", "last_known"), days),
        day=st.just(DAY),
        served=names,
        candidate_since=st.none() | days,
        reasons=sentences,
        version=texts,
        models=st.dictionaries(names, models, max_size=3),
        without=st.dictionaries(texts, texts, max_size=2),
        lead=counts,
        inputs=sentences,
        validation=st.tuples(st.dates().filter(lambda day: day.year > 1).map(str), days).map(list),
        covered=st.lists(st.tuples(counts, counts).map(list), max_size=2),
        level=intervals,
        data_sha256=texts,
        versions=st.dictionaries(texts, texts, max_size=2),
        gate=verdicts,
    ),
    f"forecast_scores/city={CITY}/date={DAY}/record.json": record(
        day=st.just(DAY),
        lead=counts,
        last_known=days,
        note=st.none() | texts,
        scores=st.none() | day_scores,
        rolling=st.none() | rolling_scores,
        rolling_gate=st.none() | verdicts,
    ),
    f"street_risk/city={CITY}/date={DAY}/record.json": record(
        day=st.just(DAY),
        no_streets=texts,
        is_wrong=st.booleans(),
        segments=counts,
        **dict.fromkeys(("expected_alerts", "expected_on_no_street"), numbers),
        left_out=sentences,
    ),
    f"street_scores/city={CITY}/date={DAY}/record.json": record(
        day=st.just(DAY),
        note=texts,
        observed=counts,
        predicted=numbers,
        **dict.fromkeys(("log_loss", "gain_over_even"), maybe_numbers),
    ),
    f"nowcast_scores/city={CITY}/date={DAY}/record.json": record(
        day=st.just(DAY),
        incidents=counts,
        nowcasts=counts,
        scores=st.dictionaries(texts, minutes_scores, max_size=2),
    ),
    f"patrol_plans/city={CITY}/date={DAY}/audit.json": st.fixed_dictionaries(
        {"day": days, "shifts": st.lists(shift_totals, max_size=2)}
    )
    | st.fixed_dictionaries({"note": texts}),
    f"tuned_settings/city={CITY}/fold={DAY}/stack.record.json": record(
        fold=st.just(DAY),
        forecaster=texts,
        settings=st.dictionaries(texts, values, max_size=2),
        **dict.fromkeys(("loss", "start_loss", "gain"), numbers),
        trials=counts,
    ),
}
"""Records that 0.2.0 can have written, by path."""


def converted(path: str, content: bytes) -> Converted:
    [only] = convert(path, content)
    assert isinstance(only, Converted)
    return only


@pytest.mark.parametrize("path", RECORDS)
@given(data=st.data())
def test_records_keep_all_that_they_state(path: str, data: st.DataObject) -> None:
    old = data.draw(RECORDS[path])
    new = converted(path, json.dumps(old).encode())
    assert new.path == present_path(path)
    fields = json.loads(new.content)
    assert next(iter(fields)) == "format_version"
    assert differences_of_records(path.split("/", maxsplit=1)[0], old, fields) == []
    assert converted(new.path, new.content) == new


@pytest.mark.parametrize("path", RECORDS)
@given(data=st.data())
def test_damaged_records_are_refused_and_no_field_is_dropped(path: str, data: st.DataObject) -> None:
    old = data.draw(RECORDS[path])
    with pytest.raises(ValueError, match="surprise"):
        convert(path, json.dumps(old | {"surprise": 1}).encode())
    groups = [part for part in old.values() if isinstance(part, dict) and "log_loss" in part]
    for group in groups:
        group["surprise"] = 1
        with pytest.raises(ValueError, match="surprise"):
            convert(path, json.dumps(old).encode())
        del group["surprise"]
    name = data.draw(st.sampled_from(sorted(old)))
    with suppress(ValueError):
        convert(path, json.dumps(old | {name: data.draw(values)}).encode())


@given(
    content=st.binary(max_size=40),
    path=st.sampled_from([*RECORDS, "risk_forecasts/city=town/date=2025-04-10/hourly.parquet"]),
)
@example(content=b"{}", path="patrol_plans/city=town/date=2025-04-10/audit.json")
def test_junk_is_refused(content: bytes, path: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        convert(path, content)


@pytest.mark.parametrize(
    "path", ["notes.txt", "live_models/readme.md", "unknown/city=town/record.json", "patrol_plans/city=town/x.csv"]
)
def test_files_that_no_version_writes_are_named(path: str) -> None:
    with pytest.raises(ValueError, match="no release wrote such a file"):
        convert(path, b"{}")
