"""The page of the data: the state of the source, findings of checks, rejected rows, and the cells that sensors hear."""

from collections import Counter
from datetime import date, timedelta
from pathlib import PurePosixPath
from typing import Any, Final

from shotspotter_assets.cities.city import City
from shotspotter_assets.cleaning.alerts import REASONS
from shotspotter_assets.quality.all_checks import ALL_CHECKS
from shotspotter_assets.quality.city_state import CityState, Warned
from shotspotter_assets.sources.unreadable import read_unreadable
from shotspotter_assets.storage.errors import CorruptObjectError
from shotspotter_assets.storage.file_names import GRID_FILE, REJECTED_FILE
from shotspotter_assets.storage.store import Store

RECENT_DAYS: Final = 365
"""Days whose rejected rows are counted."""


def data_values(store: Store, city: City, known: date | None) -> dict[str, Any]:
    """Return the values of the page; `known` is the last day whose outcome is known."""
    days = store.days_present("grid_tensors", city.name, GRID_FILE)
    first, last = min(days, default=None), max(days, default=None)
    state = CityState.load(store, city.name)
    warnings = {} if state is None else state.warnings
    since = None if last is None else max(city.start, last - timedelta(days=RECENT_DAYS - 1))
    return {
        "first": first,
        "last": last,
        "known": known,
        "missing": (last - first).days + 1 - len(days) if first and last else 0,
        "checked": "" if state is None else Warned(message="", days=[state.first, state.last]).span,
        "problems": [(name, ALL_CHECKS.get(name, ""), one) for name, all_ in warnings.items() for one in all_],
        "passed": len(ALL_CHECKS.keys() - warnings.keys()),
        "rejected_since": since,
        "rejected": [] if since is None or last is None else _rejected(store, city, since, last),
        "unreadable": [
            (PurePosixPath(path).name, one.error) for path, one in sorted(read_unreadable(store, city.name).items())
        ],
        "layers": "; ".join(f"{key}: {layer.path.name}" for key, layer in city.layers.given().items()) or "none",
    }


def _rejected(store: Store, city: City, first: date, last: date) -> list[tuple[int, str]]:
    try:
        table = store.read_present("cleaned_alerts", city.name, REJECTED_FILE, first, last, ["reason"])
    except CorruptObjectError:
        return []
    counts = Counter([] if table is None else table["reason"].to_pylist())
    return [(number, REASONS.get(str(reason), str(reason))) for reason, number in counts.most_common()]
