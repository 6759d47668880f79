"""The data dictionary: the catalogue of stored files, and the fields of records, as Markdown."""

from shotspotter_assets.accountability.account import Account, AnnualReport
from shotspotter_assets.accountability.alert_outcomes import OutcomesRecord
from shotspotter_assets.accountability.burden_audit import BurdenAudit
from shotspotter_assets.accountability.patrols_made import PatrolsRecord
from shotspotter_assets.evaluation.fold_report import FoldReport
from shotspotter_assets.evaluation.walk_forward_report import WalkForwardReport
from shotspotter_assets.forecasts.approval import Approvals, WaitingModels
from shotspotter_assets.forecasts.issued_forecasts import ForecastRecord
from shotspotter_assets.forecasts.issued_scores import ScoreRecord
from shotspotter_assets.forecasts.nowcast_scores import NowcastScoreRecord
from shotspotter_assets.forecasts.nowcasting import NowcastRecord, RefittedHours
from shotspotter_assets.forecasts.patrol.dispatch import PlanRecord
from shotspotter_assets.forecasts.seals import Seal
from shotspotter_assets.forecasts.serving_record import ServingRecord
from shotspotter_assets.forecasts.street_ranking import StreetRecord, StreetScoreRecord
from shotspotter_assets.models.next_day.shared_regression import SharedModels
from shotspotter_assets.models.trained_models import FoldRecord
from shotspotter_assets.models.tuning.search import TunedSettings
from shotspotter_assets.pages.addresses import Status
from shotspotter_assets.pages.site import PagesRecord
from shotspotter_assets.storage import catalogue
from shotspotter_assets.storage.catalogue import Asset, OtherFolder
from shotspotter_assets.storage.stored_file import StoredFile, StoredTable

RECORDS = {
    record.stored_as: record
    for record in (
        Account, AnnualReport, Approvals, BurdenAudit, FoldRecord, FoldReport, ForecastRecord, NowcastRecord,
        NowcastScoreRecord, OutcomesRecord, PagesRecord, PatrolsRecord, PlanRecord, RefittedHours,
        ScoreRecord, Seal, ServingRecord, SharedModels, Status, StreetRecord, StreetScoreRecord, TunedSettings, WaitingModels,
        WalkForwardReport,
    )
}  # fmt: skip
FILES = [file for file in catalogue.FILES if file is not catalogue.INDEX]
FILES += catalogue.PUBLISHED.values()
"""All files in order; each asset also has a `_lineage.json`."""
MARK = "<!-- data dictionary -->"


def dictionary() -> str:
    """Return a section of each asset, with the columns of its tables and the fields of its records."""
    return "\n\n".join(
        "\n\n".join([f"## {asset}", *(_described(file) for file in FILES if file.asset == asset)])
        for asset in (*Asset, *OtherFolder)
    )


def _described(file: StoredFile) -> str:
    place = f"one for each `{file.date_name}`" if file.date_name else "one for each city"
    place += " and target" * file.is_by_target
    lines = [f"**`{file.file}`**, {place}: {file.meaning}", ""]
    if isinstance(file, StoredTable):
        columns = [*file.columns.items(), *([] if file.others is None else [("others", file.others)])]
        lines += ["| column | type | null | meaning |", "| --- | --- | --- | --- |"]
        for name, column in columns:
            lines.append(f"| `{name}` | {column.kind} | {'' if column.required else 'yes'} | {column.meaning} |")
    elif file in RECORDS:
        fields = RECORDS[file].model_fields.items()
        lines.append("Fields: " + ", ".join(f"`{name}`" for name, _ in fields) + ".")
        lines += [f"- `{name}`: {field.description}" for name, field in fields if field.description]
    return "\n".join(lines)
