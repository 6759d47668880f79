"""The gateway of the rehearsal of nowcasts: what it has when, and what its answers look like."""

import pytest
import requests

from shotspotter_assets.rehearsal.gateway import TWICE_EVERY, UNTYPED_EVERY, Gateway, emitted, serving

RECORDED = [(1_000.0 + 60 * number, -77.0, 38.9, "Multiple_Gunshots") for number in range(20)]


def test_alerts_come_faster_than_they_were_recorded_and_some_are_typed_later() -> None:
    live = emitted(RECORDED, begin=500.0, speed=60.0, typed_after=5.0)
    assert [alert.at for alert in live] == [500.0 + number for number in range(20)]
    late = [number for number, alert in enumerate(live) if alert.typed_at > alert.at]
    assert late == list(range(0, 20, UNTYPED_EVERY))
    assert live[0].typed_at == 505.0
    assert "type" not in live[0].row(504.9)
    assert live[0].row(505.0)["type"] == "Multiple_Gunshots"
    assert live[0].row(505.0)["version"] > live[0].row(504.9)["version"]


def test_an_answer_has_what_is_there_and_some_of_it_twice() -> None:
    gateway = Gateway(emitted(RECORDED, 500.0, 60.0, 5.0))
    ids = [row["id"] for row in gateway.rows(0.0, 1e9, now=500.0 + TWICE_EVERY - 0.5)]
    assert len(set(ids)) == TWICE_EVERY
    ids = [row["id"] for row in gateway.rows(0.0, 1e9, now=600.0)]
    assert (len(set(ids)), ids.count("live-9"), ids.count("live-8")) == (20, 2, 1)
    assert [row["id"] for row in gateway.rows(503.0, 505.0, now=600.0)] == ["live-3", "live-4"]
    assert [answer.alerts for answer in gateway.answers] == [10, 20, 20]


def test_a_gateway_that_is_down_hangs_up() -> None:
    gateway = Gateway(emitted(RECORDED, 500.0, 60.0, 5.0))
    with serving(gateway) as address:
        url = address.format(first="0", last="1e12")
        assert len({row["id"] for row in requests.get(url, timeout=10).json()["alerts"]}) == 20
        gateway.down = (0.0, 1e12)
        with pytest.raises(requests.ConnectionError):
            requests.get(url, timeout=10)
