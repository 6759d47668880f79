"""Windows of the rolling scores of issued forecasts, which lineage needs without the scores."""

from typing import Final

WINDOW_DAYS: Final = 91  # days of the rolling scores and gate
HISTORY_DAYS: Final = 365  # stored days that show the usual silences, and so which days are known
