import shutil
from pathlib import Path

import dagster as dg
import pyarrow.compute as pc

from shotspotter_assets.accountability.burden_audit import BurdenAudit
from shotspotter_assets.cities.accountability import AuditLayer
from shotspotter_assets.storage.catalogue import BURDEN, FRONTIER
from shotspotter_assets.storage.store import Store
from shotspotter_assets_tests.accountability.layers import write_halves
from shotspotter_assets_tests.defs.chain import CITIES, materialize, resources, with_city

CITY = "tiny_city"


def test_a_fold_is_audited_by_area_and_by_group(
    tmp_path: Path, instance: dg.DagsterInstance, reported_fold: Path
) -> None:
    root = Path(shutil.copytree(reported_fold, tmp_path / "store"))
    store = Store(str(root))
    run = {"instance": instance}
    assert materialize(CITY, ["burden_audits"], resources(str(root)), **run).success
    audit = BurdenAudit.load(store, CITY)
    assert (audit.unit, audit.days, audit.note) == ("cell", 91, "")
    assert {one.kind for one in audit.comparisons} == {"area"}
    layer = AuditLayer.model_validate(write_halves(tmp_path, CITIES[CITY]))
    assert materialize(
        CITY, ["burden_audits"], resources(str(root), cities=with_city(CITY, audit=layer)), **run
    ).success
    audit = BurdenAudit.load(store, CITY)
    table = store.read_table(BURDEN, CITY)
    assert audit.unit == "resident"
    assert {one.kind for one in audit.comparisons} == {"area", "group"}
    assert any("west people" in line and "east people" in line for line in audit.sentences)
    served = table.filter((pc.field("measure") == "share") & (pc.field("policy") == "served"))
    shares = dict(zip(served["group"].to_pylist(), served["value"].to_pylist(), strict=True))
    assert 0.9 < shares["west people"] + shares["east people"] <= 1.0
    largest = max(audit.comparisons, key=lambda one: (one.policy == "served", one.difference.value))
    assert store.read_table(FRONTIER, CITY)["first"][0].as_py() == largest.first


def test_a_city_without_forecasts_has_a_note(
    tmp_path: Path, instance: dg.DagsterInstance, tiny_city_days: Path
) -> None:
    root = Path(shutil.copytree(tiny_city_days, tmp_path / "store"))
    assert materialize(CITY, ["burden_audits"], resources(str(root)), instance=instance).success
    audit = BurdenAudit.load(Store(str(root)), CITY)
    assert audit.note
    assert audit.days == 0
