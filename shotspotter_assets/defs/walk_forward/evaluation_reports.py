"""Evaluation reports of a city by fold whose test window is over."""

import dagster as dg
from pydantic import Field

from shotspotter_assets.cities.city import City
from shotspotter_assets.cities.fold_windows import fold_windows
from shotspotter_assets.defs import panel
from shotspotter_assets.defs.resources import StoreResource
from shotspotter_assets.evaluation.columns import FORECASTS_COLUMNS
from shotspotter_assets.partitions import SAME_FOLD, TEST_WINDOW, asset_key, fold_partitions, run_day
from shotspotter_assets.storage.file_names import FOLD_FORECASTS_FILE, REPORT_FILE, picture_file


class ReportConfig(dg.Config):
    """Forecasts that a report scores in addition to the next day."""

    horizons: list[int] = Field(
        default=[4],
        description="Next hours that are forecast and scored too (1, 2, 4), of cities whose times are exact enough. "
        "The tables of short horizons are large.",
    )
    types: bool = Field(default=True, description="Score the forecast gunshot types of cities that give them.")


def definitions(city: City) -> dg.Definitions:
    """The asset."""
    key, folds = asset_key(city, "evaluation_reports"), fold_partitions(city, tested=True)

    @dg.asset(
        key=key,
        partitions_def=folds,
        group_name=city.name,
        kinds={"json", "parquet"},
        code_version="1",
        pool="training",
        deps=[
            dg.AssetDep(asset_key(city, "fold_models"), partition_mapping=SAME_FOLD),
            dg.AssetDep(asset_key(city, "grid_tensors"), partition_mapping=TEST_WINDOW),
        ],
        metadata=panel.column_schema(FORECASTS_COLUMNS, "fold"),
    )
    def evaluation_reports(
        context: dg.AssetExecutionContext, config: ReportConfig, store: StoreResource
    ) -> dg.MaterializeResult:
        """Scores and forecasts of the fold's models and every baseline on the test window, on covered cells only.

        The baselines are tuned on the models' validation window and then fitted on all days before the cutoff.
        """
        from shotspotter_assets.automation.stored import Stored
        from shotspotter_assets.evaluation.fold_report import fold_forecasts, fold_pictures, fold_report, fold_rows
        from shotspotter_assets.evaluation.hourly_forecasts import fold_tables
        from shotspotter_assets.evaluation.report_files import fold_partition, write_report
        from shotspotter_assets.models.city_history import CityHistory, covered_mask
        from shotspotter_assets.models.fold_training import read_models, read_record
        from shotspotter_assets.storage.fingerprints import table_fingerprints

        cutoff = run_day(context)
        opened, partition = store.open(), fold_partition(city.name, cutoff)
        _, tested = fold_windows(city, cutoff)
        lineage = Stored.read(opened, city)
        made_from = lineage.begin("evaluation_reports", cutoff)
        record = read_record(opened, city.name, cutoff)
        stored = CityHistory.load(opened, city, tested[-1]).complete()
        history = stored.daily(covered_mask(record.covered, city.shape))
        models = fold_forecasts(read_models(opened, record), record, history, context.log.info)
        report, scores, forecasts = fold_report(record, history, models)
        context.log.info(f"{partition.key}: forecasting the next hours and the types, where the city has them")
        tables = fold_tables(stored, record, config.horizons, config.types) | {FOLD_FORECASTS_FILE: forecasts}
        pictures = fold_pictures(record, history, forecasts)
        with opened.alone(partition.asset, partition.city):
            for file, table in tables.items():
                opened.write_table(partition, file, table)
            for name, png in pictures.items():
                opened.write_bytes(partition, picture_file(name), png)
            write_report(opened, partition, report, scores)
        version = table_fingerprints({cutoff: forecasts.drop_columns(["date"])})[cutoff]
        lineage.record("evaluation_reports", cutoff, made_from, version)
        rows = fold_rows(scores)
        of_models = {
            f"{name}: {title}": scores.value(score, name)
            for name in record.models
            for title, score in (("log loss", "log_loss"), ("gain", "gain_nats_per_positive"))
        }
        of_data = ("train_days", "validation_days", "test_days", "covered_cells", "alerts", "base_rate")
        return dg.MaterializeResult(
            metadata={
                "best_model": rows[0]["model"],
                "scores": panel.table(rows),
                **panel.rounded(of_models | {key: getattr(report, key) for key in of_data}),
                **{name: panel.picture(name, png) for name, png in pictures.items()},
                "path": panel.stored(opened.uri(partition, REPORT_FILE)),
            }
        )

    return dg.Definitions(assets=[evaluation_reports])
