"""Draws the assets of one city and what each is built from."""

from collections import defaultdict
from io import BytesIO

import dagster as dg
import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from shotspotter_assets.cities.city import City
from shotspotter_assets.storage.catalogue import ALERTS

FOLDS = ("fold_models", "evaluation_reports", "walk_forward_reports")
ALERTS_COLOUR, FOLDS_COLOUR, DAILY_COLOUR = "#cfe3f3", "#d8ecd0", "#fbe3c6"
BOX_WIDTH, BOX_HEIGHT, COLUMN, ROW = 2.3, 0.5, 2.9, 0.85


def lineage(definitions: dg.Definitions, city: City) -> bytes:
    """SVG of the city's assets as boxes, each to the right of its inputs; arrows that others imply are left out."""
    graph = definitions.resolve_asset_graph()
    own = {key for key in graph.get_all_asset_keys() if key.path[0] == city.name}
    depth: dict[dg.AssetKey, int] = {}
    ancestors: dict[dg.AssetKey, set[dg.AssetKey]] = {}
    nearest: dict[dg.AssetKey, set[dg.AssetKey]] = {}
    columns: dict[int, list[dg.AssetKey]] = defaultdict(list)
    for key in [key for key in graph.toposorted_asset_keys if key in own]:
        parents = (graph.get(key).parent_keys & own) - {key}
        further = set().union(*(ancestors[parent] for parent in parents))
        depth[key] = max((depth[parent] + 1 for parent in parents), default=0)
        ancestors[key], nearest[key] = parents | further, parents - further
        columns[depth[key]].append(key)
    tallest = max(map(len, columns.values()))
    place: dict[dg.AssetKey, tuple[float, float]] = {}
    for column, keys in columns.items():
        top = (tallest - len(keys)) / 2
        if len(keys) == 1 and len(nearest[keys[0]]) == 1:  # beside its only input, so that no arrow crosses it
            top = place[next(iter(nearest[keys[0]]))][1] / ROW
        for at, key in enumerate(sorted(keys, key=lambda key: (key.path[-1] not in FOLDS, key.path[-1]))):
            place[key] = (column * COLUMN, (top + at) * ROW)
    # Letters as text keep the file small; the salt makes the same assets give the same file.
    fonts = ["DejaVu Sans", "Verdana", "Arial"]
    mpl.rcParams |= {"svg.hashsalt": "lineage", "svg.fonttype": "none", "font.sans-serif": fonts}
    width, height = len(columns) * COLUMN, tallest * ROW
    figure = Figure(figsize=(width * 0.62, height * 0.7))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-0.3, width), ylim=(height, -0.4))
    axes.axis("off")
    for key, (x, y) in place.items():
        name = key.path[-1]
        colour = ALERTS_COLOUR if name in ALERTS else DAILY_COLOUR
        if name in (*FOLDS, "tuned_settings"):
            colour = FOLDS_COLOUR
        box = FancyBboxPatch((x, y), BOX_WIDTH, BOX_HEIGHT, boxstyle="round,pad=0.05", fc=colour, ec="#555555")
        axes.add_patch(box)
        axes.text(x + BOX_WIDTH / 2, y + BOX_HEIGHT / 2, name, ha="center", va="center", fontsize=9)
        for parent in nearest[key]:
            from_x, from_y = place[parent]
            start, end = (from_x + BOX_WIDTH + 0.06, from_y + BOX_HEIGHT / 2), (x - 0.06, y + BOX_HEIGHT / 2)
            axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=9, color="#777777", lw=0.9))
    buffer = BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
