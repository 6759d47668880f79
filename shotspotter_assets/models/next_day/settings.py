"""Settings of next-day forecasters, in plain types for any front end.

Baselines have none: theirs are chosen on the validation window, so that nobody weakens what others have to beat.
"""

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


class ForecasterSettings(BaseModel):
    """Settings of one kind of forecaster, and the space in which better ones are searched; the base has none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def search_space(cls) -> "dict[str, BaseDistribution]":
        """Return distributions by setting."""
        return {}


class ResidualBoostingSettings(ForecasterSettings):
    """Settings of `residual_boosting`."""

    @classmethod
    def search_space(cls) -> "dict[str, BaseDistribution]":
        from optuna.distributions import FloatDistribution, IntDistribution

        return {
            "leaves": IntDistribution(3, 63, log=True),
            "learning_rate": FloatDistribution(0.02, 0.3, log=True),
            "max_trees": IntDistribution(60, 240, step=60),
            "min_leaf_rows": IntDistribution(50, 5_000, log=True),
            "l2": FloatDistribution(1.0, 1_000.0, log=True),
            "path_smooth": FloatDistribution(1.0, 3_000.0, log=True),
            "input_share": FloatDistribution(0.05, 1.0),
            "row_share": FloatDistribution(0.3, 1.0),
        }

    max_trees: int = Field(
        default=120,
        ge=10,
        le=1_000,
        multiple_of=10,
        description="Most trees; how many are taken is chosen on validation.",
    )
    leaves: int = Field(default=7, ge=2, le=256, description="Leaves of a tree.")
    learning_rate: float = Field(default=0.1, gt=0.0, le=1.0, description="What each tree's answer is multiplied by.")
    min_leaf_rows: int = Field(default=500, ge=1, description="Least cell-days in a leaf.")
    l2: float = Field(default=100.0, ge=0.0, description="L2 penalty of the leaves.")
    path_smooth: float = Field(
        default=300.0, ge=0.0, description="How strongly a leaf with few rows is drawn towards the node above it."
    )
    input_share: float = Field(default=0.2, gt=0.0, le=1.0, description="Share of the inputs that a tree sees.")
    row_share: float = Field(default=0.7, gt=0.0, le=1.0, description="Share of the cell-days that a tree sees.")
    seed: int = Field(default=0, ge=0, lt=2**31, description="Seed of the choice of inputs and rows for each tree.")


class StackSettings(ForecasterSettings):
    """Settings of `stack`."""

    members: list[str] = Field(
        default=["residual_boosting", "gradient_boosting", "ew_kde"],
        min_length=1,
        description="Names of the forecasters that are combined (models/registry.py).",
    )
