"""Draws the assets of the project and what each is made from."""

from collections import defaultdict
from io import BytesIO

import dagster as dg
import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

GROUP_COLOURS = {
    "alerts": "#cfe3f3",
    "grids": "#cfe3f3",
    "models": "#d8ecd0",
    "reports": "#d8ecd0",
    "forecasts": "#fbe3c6",
}
BOX_WIDTH, BOX_HEIGHT, COLUMN, ROW = 2.3, 0.5, 2.9, 0.85


def lineage(definitions: dg.Definitions) -> bytes:
    """SVG of the assets as boxes, each to the right of what it is made from, coloured by group; implied arrows are left out."""
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
    # Letters as text keep the file small; the salt makes the same assets give the same file.
    fonts = ["DejaVu Sans", "Verdana", "Arial"]
    mpl.rcParams |= {"svg.hashsalt": "lineage", "svg.fonttype": "none", "font.sans-serif": fonts}
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
    buffer = BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
