"""The settings of the network `conv_lstm` and its training, in plain types for any front end."""

from typing import TYPE_CHECKING

from pydantic import Field

from shotspotter_assets.models.next_day.settings import ForecasterSettings

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


class NetworkConfig(ForecasterSettings):
    """Settings of the network and its training; `days` must be a power of two >= 2 ** recurrent_layers."""

    @classmethod
    def search_space(cls) -> "dict[str, BaseDistribution]":
        """Exclude the class weight: losses of trials must share their unit to be compared by epoch."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        return {
            "days": CategoricalDistribution((8, 16, 32)),
            "filters": IntDistribution(4, 32, log=True),
            "recurrent_layers": IntDistribution(1, 3),
            "dropout": FloatDistribution(0.0, 0.5),
            "learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
            "batch_size": CategoricalDistribution((10, 20, 40)),
        }

    starts_at_regression: bool = Field(
        default=False, description="Add the last layer's log odds to those of the regression."
    )
    days: int = Field(
        default=8, ge=2, le=256, description="Days in an input window: a power of two, at least 2 ** recurrent_layers."
    )
    filters: int = Field(default=8, ge=1, le=256, description="Channels of every convolution and recurrent direction.")
    recurrent_layers: int = Field(
        default=2, ge=1, le=8, description="Number of bidirectional peephole ConvLSTM layers."
    )
    dropout: float = Field(
        default=0.0, ge=0.0, lt=1.0, description="Share of values dropped in training after each time pooling."
    )
    class_weight: float = Field(
        default=1.0,
        gt=0.0,
        le=10_000.0,
        description="Weight of a cell with an alert against one without, in the loss. Reference settings are 1, 10 and "
        "100; below 1, cells without an alert weigh more. It multiplies the predicted odds; that is undone before anything is "
        "called a probability.",
    )
    train_days: int = Field(
        default=1096, ge=1, le=10_000, description="Maximum number of training days, the last ones before validation."
    )
    epochs: int = Field(default=12, ge=1, le=10_000, description="Maximum number of passes over the training days.")
    batch_size: int = Field(default=20, ge=1, le=4096, description="Windows per gradient step.")
    learning_rate: float = Field(default=3e-3, gt=0.0, le=1.0, description="Adam's learning rate at the start.")
    patience: int = Field(
        default=5, ge=1, le=10_000, description="Epochs without a better validation loss before training stops."
    )
    plateau_patience: int = Field(
        default=2,
        ge=1,
        le=10_000,
        description="Epochs without a better validation loss before the learning rate is cut.",
    )
    seed: int = Field(default=0, ge=0, lt=2**32, description="Seed of the weights, the dropout and the order of days.")


class StartedNetworkConfig(NetworkConfig):
    """Settings of the network that starts at the regression's log odds."""

    starts_at_regression: bool = Field(
        default=True, description="Add the last layer's log odds to those of the regression."
    )
