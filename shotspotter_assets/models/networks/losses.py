"""The training loss, a class-weighted cross-entropy over the covered cells, and the way back to probabilities."""

from collections.abc import Callable
from typing import Any

import numpy as np

from shotspotter_assets.models.networks.quiet_keras import ops


def weighted_cross_entropy(in_coverage: np.ndarray, class_weight: float) -> Callable[[Any, Any], Any]:
    """Return the loss of (targets, logits), both (batch, rows, columns, maps): one number per sample, in nats.

    Per cell and map w*y*log(1 + e^-x) + (1 - y)*log(1 + e^x), w being the class weight, averaged over maps and covered
    cells (rows, columns); the optimum is the probability whose odds are w times the true odds. Raises ValueError if none is.
    """
    cells = int(in_coverage.sum())
    if cells == 0:
        raise ValueError("no cell of the grid is covered, so there is nothing to learn from")
    share = (in_coverage[None, :, :, None] / cells).astype(np.float32)

    def loss(targets: Any, logits: Any) -> Any:
        positive = class_weight * targets * ops.softplus(-logits)
        negative = (1.0 - targets) * ops.softplus(logits)
        return ops.sum((positive + negative) * share, axis=(1, 2, 3)) / logits.shape[-1]

    return loss


def undo_class_weight(q: np.ndarray, weight: float) -> np.ndarray:
    """Return the probability behind an output q: q / (w - (w - 1) q), as a class weight w multiplies the odds by w.

    Elkan 2001, "The foundations of cost-sensitive learning", theorem 2.
    """
    return q / (weight - (weight - 1) * q)
