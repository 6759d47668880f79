"""Each line that training prints is read by the expressions beside it, and by no others."""

import math

import pytest

from shotspotter_assets.models.tuning.sagemaker.log_lines import (
    EPOCH,
    EPOCH_LOSS,
    EPOCHS,
    LOG_LOSS,
    METRICS,
    OBJECTIVE,
    SECONDS,
    epoch_line,
    failed_line,
    read_failed,
    result_line,
)

NUMBERS = (0.1, 1 / 3, 1e-17, 123456.789, 5e-324, 0.0)


def told(line: str) -> dict[str, float]:
    return {metric.name: value for metric in METRICS if (value := metric.read(line)) is not None}


@pytest.mark.parametrize("loss", NUMBERS)
def test_losses_are_read_to_the_last_digit(loss: float) -> None:
    assert told(epoch_line(12, loss)) == {EPOCH.name: 12, EPOCH_LOSS.name: loss}
    assert told(result_line(loss, 7.25, 3)) == {LOG_LOSS.name: loss, SECONDS.name: 7.2, EPOCHS.name: 3}


def test_the_objective_is_the_final_loss_alone() -> None:
    assert OBJECTIVE.read(result_line(0.25, 1, 0)) == 0.25
    for other in (epoch_line(1, 0.5), failed_line("log_loss=nan", 1.0)):
        assert OBJECTIVE.read(other) is None
    # What Keras and the networks print beside.
    assert told("epoch 3/8: loss 0.51234, validation loss 0.41234 (best 0.41234 in epoch 3), learning rate 0.001") == {}


def test_a_failure_is_one_line_whatever_its_reason() -> None:
    line = failed_line("loss is not finite\nin epoch 1", 2.0)
    assert "\n" not in line
    assert read_failed(line) == (2.0, "loss is not finite in epoch 1")
    assert read_failed(epoch_line(1, math.pi)) is None
    assert told(line) == {}


def test_names_and_expressions_are_within_what_sagemaker_takes() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS) <= 40
    assert all(len(metric.expression) <= 500 for metric in METRICS)
