"""Whether a live candidate may serve, and whether what was trained is better than what has been served."""

from dataclasses import asdict
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shotspotter_assets.evaluation.gains import table_gain
from shotspotter_assets.evaluation.gate import judge

Array = npt.NDArray[np.float64]

MIN_ISSUED_DAYS: Final = 28
"""Of issued forecasts within the validation window, below which they are not compared with."""

TRAINED: Final = "trained"
ISSUED: Final = "issued"


def gate_of(table: pa.Table, candidate: str, baselines: tuple[str, ...]) -> dict[str, Any]:
    """`evaluation.gate.judge` as JSON values."""
    verdict = asdict(judge(table, candidate, baselines))
    return verdict | {"reasons": list(verdict["reasons"])}


def against_issued(trained: pa.Table, served: str, issued: pa.Table | None) -> dict[str, Any]:
    """Whether the forecasts that were issued are significantly better than what was trained, on the same cell-days.

    The trained model's forecasts are those of its fit without the validation window; issued ones knew the days to their
    issue date. That is in favour of those issued, so what is in force is left alone rather too often than too seldom.

    Args:
        trained: a forecasts table (see `evaluation.forecasts_table`).
        served: its column of what would be served.
        issued: date (of the forecast day), row, column and probability; None where there is none.

    Returns:
        {"days", "keep_issued": bool, "gain": of the issued over the trained or None, "words"}.
    """
    shared = None if issued is None else _shared(trained, served, issued)
    days = 0 if shared is None else len(np.unique(shared["date"].to_numpy()))
    if shared is None or days < MIN_ISSUED_DAYS:
        words = (
            f"Not compared with the model in force: it has forecast {days} days of the validation window, and "
            f"{MIN_ISSUED_DAYS} are needed."
        )
        return {"days": days, "keep_issued": False, "gain": None, "words": words}
    gain = table_gain(shared, ISSUED, TRAINED)
    keep = gain.is_shown
    said = "unknown" if gain.gain is None else f"{gain.gain:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"
    words = f"On {days} days, the forecasts issued gain {said} nats per positive over what was trained: " + (
        "the model in force is kept." if keep else "not significantly better."
    )
    return {"days": days, "keep_issued": keep, "gain": asdict(gain), "words": words}


def _shared(trained: pa.Table, served: str, issued: pa.Table) -> pa.Table:
    key = ["date", "row", "column"]
    left = trained.select([*key, "observed", served]).rename_columns([*key, "observed", TRAINED])
    right = issued.select([*key, "probability"]).rename_columns([*key, ISSUED])
    return left.join(
        right.cast(pa.schema([*(left.schema.field(name) for name in key), pa.field(ISSUED, pa.float64())])),
        keys=key,
        join_type="inner",
    )
