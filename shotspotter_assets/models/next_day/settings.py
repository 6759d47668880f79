"""What the launchpad and a city's file may set of next-day forecasters; plain types only, for any front end.

Baselines have no settings: what they choose is chosen on the validation window, so that nobody weakens what others have to
beat.
"""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from shotspotter_assets.models.tuning.space import (
    NO_SPACE,
    Categorical,
    Continuous,
    Integer,
    OnlyIf,
    Space,
    check_space,
)


class ForecasterSettings(BaseModel):
    """Settings of one kind of forecaster, and the space in which better ones are searched; the base has none.

    Raises:
        SearchSpaceError: when a class is made whose space its settings do not take.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    search: ClassVar[Space] = NO_SPACE

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        check_space(cls, cls.search)


class RegimeRegressionSettings(ForecasterSettings):
    """Settings of `regime_regression`."""

    search: ClassVar[Space] = {
        "inverse_penalties": Continuous(1e-5, 1.0, log=True, shared=False, as_list=True),
        "shared_variance": Continuous(1e-5, 1e-1, log=True, shared=True),
    }

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

    search: ClassVar[Space] = {
        "leaves": Integer(3, 63, log=True),
        "learning_rate": Continuous(0.02, 0.3, log=True),
        "max_trees": Integer(60, 240, step=60),
        "min_leaf_rows": Integer(50, 5_000, log=True),
        "l2": Continuous(1.0, 1_000.0, log=True),
        "path_smooth": Continuous(1.0, 3_000.0, log=True),
        "input_share": Continuous(0.05, 1.0),
        "goss": Categorical((False, True)),
        "row_share": Continuous(0.3, 1.0, only_if=OnlyIf("goss", value=False)),
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
    goss: bool = Field(
        default=False,
        description="Trees see the cell-days with the largest errors and some of the others, not row_share.",
    )
    seed: int = Field(default=0, ge=0, lt=2**31, description="Seed of the choice of inputs and rows for each tree.")


class ResidualConvLSTMSettings(ForecasterSettings):
    """Settings of `residual_conv_lstm`."""

    search: ClassVar[Space] = {
        "epochs": Integer(8, 32, step=4),
        "learning_rate": Continuous(1e-3, 2e-2, log=True),
    }

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
