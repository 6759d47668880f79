"""The keys of the stored reports, their order and the kinds of their values, compared with those that stores hold."""

import json
from datetime import date
from pathlib import Path
from typing import Any

from shotspotter_assets.evaluation.fold_report import FoldReport, fold_report
from shotspotter_assets.evaluation.walk_forward_report import WalkForwardReport
from shotspotter_assets_tests.evaluation import test_fold_report, test_walk_forward_report
from shotspotter_assets_tests.evaluation.test_type_scores import table as types_table

LAYOUT = Path(__file__).parents[1] / "data" / "report_layout.json"


def layout(value: Any) -> Any:
    """The tree of keys with the kind of each value; neighbouring keys of equal trees are joined by " | "."""
    if isinstance(value, dict):
        joined: list[tuple[str, Any]] = []
        for key, child in value.items():
            tree = layout(child)
            if joined and joined[-1][1] == tree:
                joined[-1] = (f"{joined[-1][0]} | {key}", tree)
            else:
                joined.append((key, tree))
        return dict(joined)
    if isinstance(value, list):
        kinds = [layout(child) for child in value]
        return [kind for at, kind in enumerate(kinds) if kind not in kinds[:at]]
    return type(value).__name__


def one_fold() -> FoldReport:
    return fold_report(**test_fold_report.arguments())[0]


def all_folds() -> WalkForwardReport:
    hourly = test_walk_forward_report.hourly
    return test_walk_forward_report.report(
        hourly={date(2021, 1, 4): hourly(date(2021, 1, 4), 1), date(2021, 6, 1): hourly(date(2021, 6, 1), 2)},
        types={date(2021, 1, 4): types_table()},
        shared={date(2021, 6, 1): "all-cities|2021-04-05"},
        trust={date(2021, 6, 1): "mostly residual_boosting"},
    )


def test_reports_keep_the_layout_of_those_that_are_stored():
    reports = {"evaluation_reports": one_fold(), "walk_forward_reports": all_folds()}
    found = {asset: layout(json.loads(report.content())) for asset, report in reports.items()}
    # As text, so that the order of the keys counts too.
    assert json.dumps(found, indent=1) == LAYOUT.read_text().rstrip("\n")


def test_stored_reports_are_read_as_they_were_made():
    for report in (one_fold(), all_folds(), test_walk_forward_report.REPORT):
        assert type(report).model_validate_json(report.content()) == report
