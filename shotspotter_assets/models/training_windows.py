"""Windows before a cutoff: training and validation days, and first days that are left out of fits."""

from typing import Final

INPUTS_WARM_UP_DAYS: Final = 60  # first days of history, left out of fits on next-day inputs: few days make their rates
BASELINES_WARM_UP_DAYS: Final = 90  # those left out of fits of baselines on lag features, as plain means


def split_days(days_before_cutoff: int, validation_days: int, window: int) -> tuple[range, range]:
    """Return indexes of training and validation days; raise ValueError if one is too short for a network's `window`."""
    train = range(days_before_cutoff - validation_days)
    validation = range(days_before_cutoff - validation_days, days_before_cutoff)
    if len(train) < 2 * window or len(validation) < window:
        raise ValueError(
            f"{days_before_cutoff} days before the cutoff give {len(train)} days to train and {len(validation)} to validate on; "
            f"an input of {window} days needs at least {2 * window} and {window}. Choose a later fold or fewer input days."
        )
    return train, validation


def after_warm_up(days: range, warm_up_days: int) -> range:
    """Return `days` without the first ones of all history; at least the later half of them."""
    return range(min(max(days.start, warm_up_days), (days.start + days.stop) // 2), days.stop)
