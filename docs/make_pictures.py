"""Makes the pictures of README and docs from what `make demo` has stored: `make pictures`."""

import base64
import os
import re
import shutil
import tempfile
from collections import defaultdict
from datetime import timedelta
from pathlib import Path

import dagster as dg
import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from shotspotter_assets.definitions import build_definitions
from shotspotter_assets.demo import CITY, FOLDS
from shotspotter_assets.partitions import next_cutoff
from shotspotter_assets.settings import Settings

PICTURES = Path(__file__).parent / "pictures"
REPORT_PICTURES = ("forecast", "reliability")
GROUP_COLOURS = {
    "alerts": "#cfe3f3",
    "grids": "#cfe3f3",
    "models": "#d8ecd0",
    "reports": "#d8ecd0",
    "forecasts": "#fbe3c6",
}
BOX_WIDTH, BOX_HEIGHT, COLUMN, ROW = 2.3, 0.5, 2.9, 0.85


def main() -> None:
    """Write all pictures into `docs/pictures`."""
    PICTURES.mkdir(exist_ok=True)
    settings = Settings.from_environment(os.environ)
    definitions = build_definitions(settings)
    lineage(definitions).savefig(PICTURES / "lineage.svg", metadata={"Date": None})
    report = Path(settings.store_root) / "evaluation_reports" / f"city={CITY}" / f"fold={FOLDS[-1]}"
    for name in REPORT_PICTURES:
        shutil.copy(report / f"{name}.png", PICTURES / f"{name}.png")
    (PICTURES / "risk_map.png").write_bytes(risk_map(definitions))
    print(f"written: {', '.join(sorted(path.name for path in PICTURES.iterdir()))}")


def risk_map(definitions: dg.Definitions) -> bytes:
    """PNG of the forecast issued on the last day of the demo, as the UI shows it."""
    key = f"{CITY}|{next_cutoff(FOLDS[-1]) - timedelta(days=1)}"
    names = ["live_models", "risk_forecasts"]
    job = definitions.resolve_implicit_global_asset_job_def()
    selected = job.get_subset(asset_selection={dg.AssetKey(name) for name in names})
    with tempfile.TemporaryDirectory() as folder, dg.DagsterInstance.local_temp(folder) as instance:
        result = selected.execute_in_process(instance=instance, partition_key=key)
    [event] = result.asset_materializations_for_node("risk_forecasts")
    picture = re.search(r"base64,([^)]+)\)", str(event.metadata["map"].value))
    assert picture is not None
    return base64.b64decode(picture[1])


def lineage(definitions: dg.Definitions) -> Figure:
    """The assets as boxes, each to the right of what it is made from, coloured by group; implied arrows are left out."""
    graph = definitions.resolve_asset_graph()
    nodes = {key: graph.get(key) for key in graph.toposorted_asset_keys}
    depth: dict[dg.AssetKey, int] = {}
    ancestors: dict[dg.AssetKey, set[dg.AssetKey]] = {}
    nearest: dict[dg.AssetKey, set[dg.AssetKey]] = {}
    for key, node in nodes.items():
        parents = node.parent_keys - {key}
        further = set().union(*(ancestors[parent] for parent in parents))
        depth[key] = max((depth[parent] + 1 for parent in parents), default=0)
        ancestors[key], nearest[key] = parents | further, parents - further
    columns: dict[int, list[dg.AssetKey]] = defaultdict(list)
    for key in sorted(nodes, key=lambda key: (nodes[key].group_name or "", key.to_user_string())):
        columns[depth[key]].append(key)
    tallest = max(map(len, columns.values()))
    place = {
        key: (column * COLUMN, (tallest - len(keys)) / 2 * ROW + at * ROW)
        for column, keys in columns.items()
        for at, key in enumerate(keys)
    }
    mpl.rcParams["svg.hashsalt"] = "lineage"
    width, height = len(columns) * COLUMN, tallest * ROW
    figure = Figure(figsize=(width * 0.62, height * 0.7))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-0.3, width), ylim=(height, -0.4))
    axes.axis("off")
    for key, (x, y) in place.items():
        colour = GROUP_COLOURS.get(nodes[key].group_name or "", "#eeeeee")
        box = FancyBboxPatch((x, y), BOX_WIDTH, BOX_HEIGHT, boxstyle="round,pad=0.05", fc=colour, ec="#555555")
        axes.add_patch(box)
        axes.text(x + BOX_WIDTH / 2, y + BOX_HEIGHT / 2, key.to_user_string(), ha="center", va="center", fontsize=9)
        for parent in nearest[key]:
            from_x, from_y = place[parent]
            start, end = (from_x + BOX_WIDTH + 0.06, from_y + BOX_HEIGHT / 2), (x - 0.06, y + BOX_HEIGHT / 2)
            axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=9, color="#777777", lw=0.9))
    return figure


if __name__ == "__main__":
    main()
