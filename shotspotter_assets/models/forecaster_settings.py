"""Base of the settings of forecasters."""

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


class ForecasterSettings(BaseModel):
    """Settings that users may change, in plain types for any front end; none for baselines, which nobody may weaken."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def search_space(cls) -> "dict[str, BaseDistribution]":
        """Return distributions by searched setting."""
        return {}
