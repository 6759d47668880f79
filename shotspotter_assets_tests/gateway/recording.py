"""The recorded exchange of the gateway."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
PORT = 8765  # of the address in gateway_town.yaml
Exchange = dict[str, Any]


def exchanges() -> list[Exchange]:
    """Return each request's cursor with status, headers and body of its answer, in order."""
    return list(json.loads((FOLDER / "recording.json").read_text())["exchanges"])
