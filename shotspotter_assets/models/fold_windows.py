"""How a fold's days before the cutoff divide into training and validation."""


class FoldTooShortError(ValueError):
    """There are too few days before the cutoff to train and validate on."""


def split_days(days_before_cutoff: int, validation_share: float, window: int) -> tuple[range, range]:
    """(training, validation) as indexes of the days before the cutoff; validation are the last ones.

    Args:
        days_before_cutoff: Number of days from the city's start to the day before the cutoff.
        validation_share: Share of those days for validation.
        window: Days in a network's input; the first training day needs as many before it.

    Raises:
        FoldTooShortError: training or validation would be shorter than the input window.
    """
    first_validation = days_before_cutoff - round(days_before_cutoff * validation_share)
    train, validation = range(first_validation), range(first_validation, days_before_cutoff)
    if len(train) < 2 * window or len(validation) < window:
        raise FoldTooShortError(
            f"{days_before_cutoff} days before the cutoff give {len(train)} days to train and {len(validation)} to validate on; "
            f"an input of {window} days needs at least {2 * window} and {window}. Choose a later fold or fewer input days."
        )
    return train, validation
