import re
import shutil
from dataclasses import replace
from datetime import UTC, date, datetime
from html import unescape
from pathlib import Path

import dagster as dg
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest

from shotspotter_assets.alerts.days.city_now import lateness
from shotspotter_assets.automation.stored import Stored
from shotspotter_assets.cities.patrol_rules import PatrolRules, Shift
from shotspotter_assets.forecasts.issued_forecasts import NoForecast, load_record
from shotspotter_assets.forecasts.issued_scores import ScoreRecord
from shotspotter_assets.forecasts.patrol.dispatch import PlanRecord
from shotspotter_assets.forecasts.retraining import choose_models
from shotspotter_assets.forecasts.serving_record import ServingRecord
from shotspotter_assets.models.city_history import CityHistory
from shotspotter_assets.models.forecaster import FitContext
from shotspotter_assets.storage import catalogue
from shotspotter_assets.storage.catalogue import PRODUCTS, Asset
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.defs.chain import materialize, resources, run_days, run_fold, with_city
from shotspotter_assets_tests.instances import instance_in_memory

DAY = date(2024, 1, 20)
NEXT = date(2024, 1, 21)
FOLD = date(2024, 1, 1)
DAILY = (*PRODUCTS, Asset.FORECAST_SCORES)
RULES = PatrolRules(shifts=(Shift(name="evening", start=16, end=0, units=2),), weights={"robbery": 0.5})
CITIES = with_city(
    "tiny_city", event_types={"robbery": ("Multiple_Gunshots",), "arson": ("Arson",)}, patrol=RULES,
    public=True, retraining="weekly",
    targets={"gunfire": ("gunshots",), "robbery": ("robbery",), "arson": ("arson",)},
)  # fmt: skip
CITY = CITIES["tiny_city"]
OF_GUNFIRE = re.compile(r"\b(alerts?|gunfire|gunshots?|sensors?|fireworks?)\b", re.IGNORECASE)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chain of a city with gunfire and robberies, to the pages."""
    root = tmp_path_factory.mktemp("targets") / "store"
    on = resources(str(root), cities=CITIES)
    with instance_in_memory(root.parent) as instance:
        assert run_days("tiny_city", "2023-07-01", "2024-03-31", on, instance).success
        assert run_fold("fold_models", "tiny_city", str(FOLD), on, instance, {"models": ["stack"]}).success
        assert run_fold("evaluation_reports", "tiny_city", str(FOLD), on, instance).success
        materialize("tiny_city", ["walk_forward_reports"], on, checks=(), instance=instance)
        for day in (DAY, NEXT):
            how = {"instance": instance, "partition_key": str(day)}
            assert materialize("tiny_city", DAILY, on, checks=["rolling_gate"], **how).success
        assert materialize("tiny_city", ["city_pages"], on, instance=instance).success
    return root


def test_each_target_has_models_forecasts_scores_and_gate(made: Path) -> None:
    of_targets = {view.target: store for store, view in CITY.by_target(Store(str(made))) if view.target != "arson"}
    served = {name: ServingRecord.load(store, "tiny_city", NEXT) for name, store in of_targets.items()}
    assert served["gunfire"].version != served["robbery"].version
    assert "gunshot_types" not in served["robbery"].models
    expected = {}
    for name, store in of_targets.items():
        record = load_record(store, "tiny_city", NEXT)
        expected[name] = record.expected_alerts
        scored = ScoreRecord.load(store, "tiny_city", NEXT).scores
        assert scored.observed_alerts > 0
        assert {reason for reasons in record.drivers.values() for reason in reasons}
        assert name == "gunfire" or not OF_GUNFIRE.search(
            str([*record.drivers.values()]).replace("gunshots nearby", "")
        )
    counts = Store(str(made)).read_window(catalogue.TENSORS, "tiny_city", date(2024, 1, 1), NEXT).to_pandas()
    daily = counts.groupby(counts["gunshot_type"] == 4)["count"].sum() / 21
    assert expected["robbery"] == pytest.approx(daily[True], rel=0.5)
    assert expected["gunfire"] == pytest.approx(daily[False], rel=0.5)


def test_incidents_are_forecast_wherever_anything_was_counted(made: Path) -> None:
    covered = {
        view.target: set(ServingRecord.load(store, "tiny_city", NEXT).covered)
        for store, view in CITY.by_target(Store(str(made)))
        if view.target != "arson"
    }
    assert covered["robbery"] > covered["gunfire"]


def test_stored_tables_have_a_target_column(made: Path) -> None:
    table = ds.dataset(made / "risk_forecasts", format="parquet", partitioning="hive", exclude_invalid_files=True)
    assert set(table.to_table(columns=["target"])["target"].unique().to_pylist()) == {"gunfire", "robbery"}
    assert not list(made.glob("grid_tensors/*/target=*"))


def test_a_partition_is_current_once_all_targets_are_made(made: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(made, tmp_path / "store"))
    stored = Stored.read(Store(str(root)), CITY)
    assert all(
        stored.is_current(asset, NEXT) for asset in (Asset.LIVE_MODELS, Asset.RISK_FORECASTS, Asset.PATROL_PLANS)
    )
    more = CITY.model_copy(update={"targets": CITY.targets | {"both": ("gunshots", "robbery")}})
    stored = Stored.read(Store(str(root)), more)
    assert not any(stored.is_current(asset, NEXT) for asset in (Asset.LIVE_MODELS, Asset.PATROL_PLANS))
    assert not stored.is_current(Asset.FOLD_MODELS, FOLD)


def test_changed_targets_end_as_from_scratch(made: Path, tmp_path: Path) -> None:
    targets = {"robbery": ("arson",), "holdups": ("robbery",)}
    changed = {"tiny_city": CITY.model_copy(update={"targets": targets, "patrol": None})}
    root = Path(shutil.copytree(made, tmp_path / "store"))
    on = resources(str(root), cities=changed)
    with instance_in_memory(tmp_path) as instance:
        assert run_fold("fold_models", "tiny_city", str(FOLD), on, instance, {"models": ["stack"]}).success
        assert run_fold("evaluation_reports", "tiny_city", str(FOLD), on, instance).success
        # The forecasts of a renamed target are those before.
        assert not Stored.read(Store(str(root)), changed["tiny_city"]).is_current(Asset.WALK_FORWARD_REPORTS)
        how = {"instance": instance, "checks": ()}
        materialize("tiny_city", ["walk_forward_reports"], on, **how)
        materialize("tiny_city", DAILY, on, partition_key=str(NEXT), **how)
        materialize("tiny_city", ["city_pages"], on, **how)
    holdups, robbery = (Store(str(root)).of(name) for name in ("holdups", "robbery"))
    assert holdups.exists(catalogue.MODEL_CARD, "tiny_city")
    assert isinstance(load_record(robbery, "tiny_city", NEXT), NoForecast)
    assert ServingRecord.find(robbery, "tiny_city", NEXT) is None
    for file in (catalogue.FOLD_RECORD, catalogue.FOLD_FORECASTS):
        assert not robbery.days_present(file, "tiny_city")
    pages = root / "city_pages" / "city=tiny_city"
    assert not robbery.exists(catalogue.MODEL_CARD, "tiny_city")
    assert [len([*pages.glob(f"{name}/day-*")]) for name in ("holdups", "robbery", "arson", ".")] == [1, 0, 0, 0]


def test_target_with_few_events_has_no_models_but_a_reason(made: Path, tmp_path: Path) -> None:
    store, view = CITY.by_target(Store(str(made)))[1]
    stored = CityHistory.load(store, view, NEXT)
    of_target = stored.frames.filter(pc.equal(stored.frames["gunshot_type"], 4))
    live = choose_models(Store(str(tmp_path)), replace(stored, frames=of_target.slice(0, 2)), FitContext())
    assert live.record is None
    assert "tiny_city.yaml: targets.robbery: too few events for any cell" in live.why_none


def test_simple_methods_serve_a_target_that_cannot_be_trained_yet(
    made: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, view = CITY.by_target(Store(str(made)))[1]
    stored = CityHistory.load(store, view, NEXT)
    of_target = stored.frames.filter(pc.equal(stored.frames["gunshot_type"], 4))
    live = choose_models(Store(str(tmp_path)), replace(stored, frames=of_target.slice(0, 40)), FitContext())
    assert live.record.is_interim
    assert live.record.training_due
    assert "cannot be trained: tiny_city.yaml: targets.robbery: 0 of" in caplog.text


def test_units_cover_the_targets_by_their_weights(made: Path) -> None:
    plan = PlanRecord.load(Store(str(made)), "tiny_city", NEXT)
    assert set(plan.forecast_versions) == {"gunfire", "robbery"}
    units = Store(str(made)).read_table(catalogue.PLAN, "tiny_city", NEXT).to_pylist()
    assert all(row["expected_within_reach"] >= row["probability_within_reach"] > 0 for row in units)
    assert {reason.partition(": ")[0] for row in units for reason in row["reasons"]} <= {"gunfire", "robbery"}
    evening = {}
    for target in plan.forecast_versions:
        hourly = Store(str(made)).of(target).read_table(catalogue.HOURLY, "tiny_city", NEXT).to_pandas()
        local = hourly["starts_utc"].dt.tz_convert(CITY.time_zone)
        is_evening = (local.dt.date == date(2024, 1, 22)) & (local.dt.hour >= 16)
        evening[target] = hourly["expected"][is_evening].sum()
    assert plan.shifts[0].expected_alerts == pytest.approx(evening["gunfire"] + 0.5 * evening["robbery"], rel=1e-3)


def test_target_without_events_says_so_and_others_go_on(made: Path) -> None:
    store = Store(str(made)).of("arson")
    record = load_record(store, "tiny_city", NEXT)
    assert "tiny_city.yaml: targets.arson: none of the rows" in record.no_forecast
    assert "(there are: single gunshot " in record.no_forecast
    assert not store.exists(catalogue.FOLD_RECORD, "tiny_city", FOLD)
    page = (made / "city_pages" / "city=tiny_city" / "arson" / "index.html").read_text()
    assert "targets.arson" in page


def test_late_city_names_the_last_forecast_of_its_main_target(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    city = CITY.model_copy(update={"targets": {"robbery": ("robbery",)}})
    now = datetime(2024, 4, 30, 17, tzinfo=UTC)
    monkeypatch.setattr("shotspotter_assets.cities.local_time.now", lambda: now)
    assert f"the forecast issued on {NEXT}" in lateness(Store(str(made)), city).message


def test_pages_offer_the_targets_in_their_own_words(made: Path) -> None:
    folder = made / "city_pages" / "city=tiny_city"
    names = {"index.html", "past.html", "track_record.html", "status.json", "forecast.geojson", "public/index.html"}
    for target in ("", "robbery/"):
        assert all((folder / target / name).is_file() for name in names)
    first, other = ((folder / target / "index.html").read_text() for target in ("", "robbery/"))
    assert '<a href="index.html" aria-current="true">Gunfire</a>' in first
    assert '<a href="robbery/index.html">Robbery</a>' in first
    assert '<a href="../index.html">Gunfire</a>' in other
    assert 'src="../../city=all-cities/pages.js"' in other
    for page in (folder / "robbery").rglob("*.html"):
        text = unescape(re.sub(r"<[^>]*>", " ", page.read_text()))
        # The city also has gunshots, which are inputs of its other forecasts.
        found = OF_GUNFIRE.findall(text.replace("Gunfire", "", 1).replace("gunshots nearby", ""))
        assert not found, f"{page}: {found}"
        assert "incident" in text
    card = Store(str(made)).of("robbery").read_bytes(catalogue.MODEL_CARD, "tiny_city").decode()
    assert not re.search("sensors|a shot|gunfire", card)
    assert "incident" in card


def test_one_target_is_rolled_back_alone(made: Path, tmp_path: Path, instance: dg.DagsterInstance) -> None:
    root = Path(shutil.copytree(made, tmp_path / "store"))
    on = resources(str(root), cities=CITIES)
    config = {"serve_from": str(DAY), "target": "robbery"}
    how = {"instance": instance, "partition_key": str(NEXT), "config": {"live_models": config}}
    before = ServingRecord.load(Store(str(root)), "tiny_city", NEXT)
    assert materialize("tiny_city", ["live_models"], on, checks=(), **how).success
    assert ServingRecord.load(Store(str(root)), "tiny_city", NEXT) == before
    rolled_back = ServingRecord.load(Store(str(root)).of("robbery"), "tiny_city", NEXT)
    assert rolled_back.reasons[0].startswith("Rolled back by hand")
    with pytest.raises(ValueError, match=r"tiny_city.* theft .*gunfire, robbery, arson"):
        CITY.only("theft")
