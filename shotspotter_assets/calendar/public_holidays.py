"""The public holidays of a country, or of a part of it."""

import numpy as np
import numpy.typing as npt


def public_holidays(country: str, days: npt.NDArray[np.datetime64]) -> npt.NDArray[np.datetime64]:
    """Public holidays (datetime64[D], unsorted) of the years of `days` and of the years beside them.

    Args:
        country: `US`, or with a subdivision `US-DC` (`City.holidays`).
    """
    import holidays

    name, _, subdivision = country.partition("-")
    own = {year + 1970 for year in np.unique(days.astype("datetime64[Y]").astype(np.int64)).tolist()}
    years = {year + shift for year in own for shift in (-1, 0, 1)}
    return np.array(list(holidays.country_holidays(name, subdiv=subdivision or None, years=years)), "datetime64[D]")
