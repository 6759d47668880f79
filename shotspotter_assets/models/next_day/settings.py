"""What the launchpad and a city's file may set of next-day forecasters; plain types only, for any front end.

Baselines have no settings: what they choose is chosen on the validation window, so that nobody weakens what others have to
beat.
"""

from pydantic import BaseModel, ConfigDict, Field


class ForecasterSettings(BaseModel):
    """Settings of one kind of forecaster; the base has none."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RegimeRegressionSettings(ForecasterSettings):
    """Settings of `regime_regression`."""

    inverse_penalties: list[float] = Field(
        default=[1e-3, 1e-2],
        min_length=1,
        description="Inverse L2 penalties that are tried on the validation window where there is no model of all cities.",
    )
    shared_variance: float = Field(
        default=3e-4, gt=0.0, description="Variance of the standardised weights around those of all cities."
    )


class ResidualBoostingSettings(ForecasterSettings):
    """Settings of `residual_boosting`."""

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
    seed: int = Field(default=0, ge=0, lt=2**31, description="Seed of the choice of inputs and rows for each tree.")


class ResidualConvLSTMSettings(ForecasterSettings):
    """Settings of `residual_conv_lstm`."""

    epochs: int = Field(default=16, ge=1, le=10_000, description="Passes over the days.")
    learning_rate: float = Field(default=5e-3, ge=0.0, le=1.0, description="AdamW's learning rate at the start.")
    warm_epochs: int = Field(default=2, ge=1, le=10_000, description="The same where training goes on from a network.")
    warm_learning_rate: float = Field(default=2e-3, ge=0.0, le=1.0, description="See warm_epochs.")
    seed: int = Field(default=0, ge=0, lt=2**32, description="Seed of the weights and the order of days.")


class StackSettings(ForecasterSettings):
    """Settings of `stack`."""

    members: list[str] = Field(
        default=[
            "residual_boosting",
            "regime_regression",
            "shared_regression",
            "gradient_boosting",
            "logistic_regression",
            "ewma",
            "ew_kde",
            "historical_mean",
        ],
        min_length=1,
        description="Names of the forecasters that are combined (models/registry.py).",
    )
