"""What all reports that are stored as `report.json` share."""

import json

from pydantic import BaseModel, ConfigDict


class StoredReport(BaseModel):
    """A report whose fields are the keys of its file, in their order."""

    model_config = ConfigDict(frozen=True)

    def content(self) -> bytes:
        return json.dumps(self.model_dump(mode="json"), indent=2).encode()
