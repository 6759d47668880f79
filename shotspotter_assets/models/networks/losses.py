"""The training loss: class-weighted binary cross-entropy over the cells that sensors hear."""

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops


def covered_cross_entropy(covered: np.ndarray, class_weight: float) -> Callable[[Any, Any], Any]:
    """Loss of (targets, logits), both (batch, rows, columns, maps): one number per sample, in nats.

    Per cell and map w*y*log(1 + e^-x) + (1 - y)*log(1 + e^x), averaged over maps and covered cells; the optimum is
    the probability whose odds are w times the true odds (see `undo_class_weight`).

    Args:
        covered: Boolean (rows, columns); cells outside have no influence.
        class_weight: Weight w of a positive cell against a negative one.

    Raises:
        ValueError: No cell is covered.
    """
    cells = int(covered.sum())
    if cells == 0:
        raise ValueError("no cell of the grid is covered, so there is nothing to learn from")
    share = (covered[None, :, :, None] / cells).astype(np.float32)

    def loss(targets: Any, logits: Any) -> Any:
        positive = class_weight * targets * ops.softplus(-logits)
        negative = (1.0 - targets) * ops.softplus(logits)
        return ops.sum((positive + negative) * share, axis=(1, 2, 3)) / logits.shape[-1]

    return loss
