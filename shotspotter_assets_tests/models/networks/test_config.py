"""Settings refuse what cannot be trained and explain themselves."""

import pytest
from pydantic import ValidationError

from shotspotter_assets.models.networks.config import NetworkConfig


def test_every_setting_is_plain_and_described() -> None:
    for name, field in NetworkConfig.model_fields.items():
        assert field.annotation in (int, float, bool, str), name
        assert (field.description or "").endswith("."), name


@pytest.mark.parametrize(
    "change",
    [
        {"days": 1},
        {"dropout": 1.0},
        {"class_weight": 0.0},
        {"learning_rate": 0.0},
        {"plateau_factor": 1.0},
        {"validation_share": 0.0},
        {"seed": -1},
        {"unknown": 1},
    ],
)
def test_refuses_values_out_of_range(change: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        NetworkConfig(**change)


def test_is_frozen() -> None:
    with pytest.raises(ValidationError):
        NetworkConfig().days = 8
