"""Record of the models that a person approved, without the models themselves."""

from typing import Self

from pydantic import Field

from shotspotter_assets.storage.catalogue import APPROVALS
from shotspotter_assets.storage.store import Store
from shotspotter_assets.storage.stored_record import StoredRecord


class Approvals(StoredRecord):
    """Approved models of a city."""

    stored_as = APPROVALS

    approved: dict[str, str] = Field(description="Instant of the approval (ISO 8601, UTC) by version of the models.")
    approvers: dict[str, str] = Field({}, description="Name of the person who approved, by version of the models.")

    @classmethod
    def read(cls, store: Store, city: str) -> Self:
        """Return the approvals; none if the file is missing or damaged: models that served count as approved."""
        return cls.find_sound(store, city) or cls(city=city, approved={})

    def text(self, version: str) -> str:
        """Return a sentence on who approved the models of a version, and when; empty if nobody did."""
        if version not in self.approved:
            return ""
        return f"Approved by {self.approvers.get(version, 'a person')} at {self.approved[version]}."
