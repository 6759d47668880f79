"""The account of a rehearsal of nowcasts: nothing lost, nothing twice, types taken over, and how long each took to the page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np

from shotspotter_assets.cities.city import City
from shotspotter_assets.rehearsal.__main__ import log
from shotspotter_assets.rehearsal.gateway import Emitted, Gateway

MAX_LATENCY_SECONDS: Final = 60.0
"""Of 99 of 100 alerts and types, from the source to the page, or from the end of the gateway's outage."""
EVERY_SECONDS: Final = 30
"""The gateway is asked so often: what comes as shortly before an outage may be seen after it only."""
HOUR: Final = 3600


@dataclass(frozen=True)
class Made:
    """One nowcast, as the event log has it."""

    at: float
    """Seconds since 1970 at which it was stored."""
    now: float
    """From when it is."""
    day: str
    alerts: int
    """Of its local day."""
    typed: int
    """Those of them with a type."""


def in_words(live: Sequence[Emitted]) -> str:
    """How many alerts come, how densely and with what silence."""
    times = np.array([alert.at for alert in live])
    in_a_minute = int((np.searchsorted(times, times + 60, "right") - np.arange(len(times))).max())
    silence = float(np.diff(times).max(initial=0))
    corrected, twice = sum(alert.typed_at > alert.at for alert in live), sum(alert.is_twice for alert in live)
    return (
        f"{len(live)} alerts in {(times[-1] - times[0]) / 60:.0f} min, at most {in_a_minute} within one, the longest silence "
        f"{silence:.0f} s; {corrected} get their type as a correction, {twice} come twice"
    )


def account(made: Sequence[Made], live: Sequence[Emitted], gateway: Gateway, city: City) -> list[str]:
    """Print latencies; returns what is wrong."""
    alerts, types = ({alert.id: getattr(alert, when) for alert in gateway.alerts} for when in ("at", "typed_at"))
    corrections = {alert.id: alert.typed_at for alert in live if alert.typed_at > alert.at}
    problems = [
        *_miscounted(made, gateway, city, "alerts", alerts, lambda one: one.alerts),
        *_miscounted(made, gateway, city, "types", types, lambda one: one.typed),
        *_late(made, gateway, "alert", {alert.id: alert.at for alert in live}),
        *_late(made, gateway, "correction", corrections),
    ]
    news = len({(answer.alerts, answer.types) for answer in gateway.answers})
    hours = len({int(one.now // HOUR) for one in made})
    log(f"{len(made)} nowcasts of {len(gateway.answers)} answers, {news} of them with something new, in {hours} hours")
    if len(made) > news + hours:
        problems.append(f"{len(made)} nowcasts were made of {news} new answers and {hours} hours")
    return problems


def _miscounted(
    made: Sequence[Made],
    gateway: Gateway,
    city: City,
    things: str,
    there_at: Mapping[str, float],
    number_of: Callable[[Made], int],
) -> list[str]:
    """Nowcasts that have more or fewer alerts of their day, or types of these, than there were.

    Args:
        things: what is counted.
        there_at: by alert, when it, or its type, is at the gateway.
        number_of: how many a nowcast has.
    """
    day_of = {alert.id: str(datetime.fromtimestamp(alert.at, city.zone).date()) for alert in gateway.alerts}
    problems = []
    for one in made:
        times = np.array([at for alert, at in there_at.items() if day_of[alert] == one.day])
        # Between the answer and `now` further ones may have come.
        answered, by_now = (int((times <= until).sum()) for until in (_answered(gateway, one), one.now))
        if not answered <= number_of(one) <= by_now:
            problems.append(
                f"the nowcast of {datetime.fromtimestamp(one.now, UTC)} has {number_of(one)} {things}, not {by_now}"
            )
    return problems


def _late(made: Sequence[Made], gateway: Gateway, thing: str, there_at: Mapping[str, float]) -> list[str]:
    """Print how long alerts, or corrections, took to the page; returns those that were lost, and whether they were late.

    What came while the gateway was down is told apart, and counts from the end of the outage.
    """
    down, up_again = gateway.down
    problems: list[str] = []
    while_up: list[float] = []
    in_outage: list[float] = []
    for name, at in there_at.items():
        with_it = [one.at for one in made if _answered(gateway, one) >= at]
        if not with_it:
            problems.append(f"the {thing} {name} is in no nowcast")
        elif down - EVERY_SECONDS <= at < up_again:
            in_outage.append(min(with_it) - up_again)
        else:
            while_up.append(min(with_it) - at)
    for since, seconds in (("the source", while_up), ("the outage's end", in_outage)):
        if not seconds:
            continue
        median, late = np.quantile(seconds, [0.5, 0.99])
        took = f"median {median:.1f} s, 99% {late:.1f} s, longest {max(seconds):.1f} s"
        log(f"{len(seconds)} {thing}s, from {since} to the page: {took}")
        if late > MAX_LATENCY_SECONDS:
            problems.append(
                f"1 {thing} of 100 took more than {late:.0f} s to the page, and {MAX_LATENCY_SECONDS:.0f} s are allowed"
            )
    return problems


def _answered(gateway: Gateway, one: Made) -> float:
    """When the gateway gave the answer that a nowcast was made of."""
    return max((answer.at for answer in gateway.answers if answer.at <= one.now), default=0.0)
