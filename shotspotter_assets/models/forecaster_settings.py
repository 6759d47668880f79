"""Base of the settings of forecasters, and settings of the networks and their training."""

from enum import StrEnum, auto
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, Field, model_validator

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


class ForecasterSettings(BaseModel, frozen=True, extra="forbid"):
    """Settings that users may change, in plain types for any front end; none for baselines, which nobody may weaken."""

    @classmethod
    def search_space(cls) -> "dict[str, BaseDistribution]":
        """Return distributions by searched setting."""
        return {}


class Backbone(StrEnum):
    """Layers of a network between its inputs and its maps."""

    conv_lstm = auto()
    convolution = auto()
    transformer = auto()


class Start(StrEnum):
    """Forecast that a network adds to."""

    nothing = auto()
    regression = auto()


class Channel(StrEnum):
    """Kind of a network's inputs."""

    counts = auto()
    inputs = auto()
    calendar = auto()
    factors = auto()
    location = auto()


OfBackbone = Annotated[
    Backbone,
    Field(description="Conv3D and peephole ConvLSTM, two convolutions over cells, or attention over days and patches."),
]
OfStart = Annotated[Start, Field(description="Forecast that the network adds to: none, or that of regime_regression.")]
Channels = Annotated[
    list[Channel],
    Field(
        min_length=1,
        description="Counts by type of the last days, the regression's inputs by cell, its calendar, factors, and the cell's "
        "row and column.",
    ),
]
Filters = Annotated[int, Field(ge=1, le=256, description="Channels of every convolution and recurrent direction.")]
Dropout = Annotated[float, Field(ge=0.0, lt=1.0, description="Share of values dropped in training.")]
Epochs = Annotated[int, Field(ge=1, le=10_000, description="Maximum number of passes over the training days.")]
LearningRate = Annotated[float, Field(gt=0.0, le=1.0, description="Adam's learning rate at the start.")]
WeightDecay = Annotated[float, Field(ge=0.0, le=1.0, description="Decay of weights by step, over the learning rate.")]
Networks = Annotated[int, Field(ge=1, le=16, description="Networks with different seeds; their log odds are averaged.")]


def time_pools(days: int, recurrent_layers: int) -> list[int]:
    """Return pool sizes over time, one per recurrent layer, down to one frame. Raises ValueError if this is impossible."""
    min_days = 2**recurrent_layers
    if recurrent_layers < 1 or days < min_days or days & (days - 1):
        allowed = ", ".join(str(min_days * 2**power) for power in range(4))
        raise ValueError(
            f"days={days} cannot be pooled down to one frame by {recurrent_layers} recurrent layers: use a power of two of at "
            f"least {min_days} ({allowed}, ...) and at least one recurrent layer"
        )
    return [2] * (recurrent_layers - 1) + [days // 2 ** (recurrent_layers - 1)]


class NetworkSettings(ForecasterSettings):
    """Settings of a network; the defaults are those of `conv_lstm`: the report's layers, started at the regression."""

    @classmethod
    def search_space(cls) -> "dict[str, BaseDistribution]":
        """Return distributions without the class weight, whose trials' losses by epoch would have units of their own."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        return {
            "days": CategoricalDistribution((8, 16, 32)),
            "filters": IntDistribution(4, 32, log=True),
            "recurrent_layers": IntDistribution(1, 3),
            "dropout": FloatDistribution(0.0, 0.5),
            "learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
            "batch_size": CategoricalDistribution((10, 20, 40)),
        }

    backbone: OfBackbone = Backbone.conv_lstm
    start: OfStart = Start.regression
    channels: Channels = [Channel.counts]
    days: int = Field(
        8, ge=2, le=256, description="Days of counts. For conv_lstm a power of two, at least 2 ** recurrent_layers."
    )
    filters: Filters = 8
    recurrent_layers: int = Field(2, ge=1, le=8, description="For conv_lstm: bidirectional peephole ConvLSTM layers.")
    dropout: Dropout = 0.0
    class_weight: float = Field(
        1.0, gt=0.0, le=10_000.0, description="Weight of cells with alerts in the loss; forecasts are corrected."
    )
    train_days: int = Field(1096, ge=1, le=10_000, description="Maximum of training days, the last before validation.")
    epochs: Epochs = 12
    batch_size: int = Field(20, ge=1, le=4096, description="Windows per gradient step.")
    learning_rate: LearningRate = 3e-3
    weight_decay: WeightDecay = 0.0
    patience: int = Field(5, ge=1, le=10_000, description="Epochs without a better validation loss before it ends.")
    plateau_patience: int = Field(
        2, ge=1, le=10_000, description="Epochs without a better loss before the learning rate is cut."
    )
    networks: Networks = 1
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of the weights, the dropout and the order of days.")

    @model_validator(mode="after")
    def _has_its_inputs(self) -> "NetworkSettings":
        if self.backbone != Backbone.convolution and Channel.counts not in self.channels:
            raise ValueError(f"channels: the backbone {self.backbone} reads days and needs counts among its channels")
        if self.backbone == Backbone.conv_lstm:
            time_pools(self.days, self.recurrent_layers)
        return self


class DailyNetworkSettings(NetworkSettings):
    """Settings of the network in the daily path."""

    @classmethod
    def search_space(cls) -> "dict[str, BaseDistribution]":
        from optuna.distributions import FloatDistribution, IntDistribution

        return {
            "filters": IntDistribution(8, 32, log=True),
            "dropout": FloatDistribution(0.0, 0.5),
            "learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
            "weight_decay": FloatDistribution(1e-4, 1e-1, log=True),
        }

    backbone: OfBackbone = Backbone.convolution
    channels: Channels = [Channel.inputs]
    filters: Filters = 16
    dropout: Dropout = 0.1
    epochs: Epochs = 30
    learning_rate: LearningRate = 1e-3
    weight_decay: WeightDecay = 3e-3
    networks: Networks = 2
