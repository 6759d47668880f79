"""What models say of places, in words for people who do not know what odds are."""

import re
from collections.abc import Sequence
from typing import Final

NO_REASON: Final = "Close to the average place"

_ODDS: Final = re.compile(r" \(odds x[\d.]+\)")


def in_words(drivers: Sequence[str]) -> str:
    """The drivers of a cell (`models.next_day.drivers`) as one sentence without its full stop."""
    text = "; ".join(_ODDS.sub("", driver) for driver in drivers)
    return text[:1].upper() + text[1:] if text else NO_REASON
