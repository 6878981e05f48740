"""Reasons to end early."""

from datetime import timedelta
from types import SimpleNamespace

import pytest
import torch

from torchmdnet.training.stopping import Patience, TimeLimit, parse_duration


def test_reads_days_hours_minutes_seconds():
    assert parse_duration("01:02:03:04") == timedelta(days=1, hours=2, minutes=3, seconds=4)


@pytest.mark.parametrize("text", ["12:00:00", "1h", "", "0:0:0:x"])
def test_says_how_a_duration_is_written(text):
    with pytest.raises(ValueError, match=r"max_time: got '.*', expected DD:HH:MM:SS"):
        parse_duration(text)


def fake_trainer():
    strategy = SimpleNamespace(reduce_boolean_decision=lambda decision, **_: decision)
    return SimpleNamespace(should_stop=False, strategy=strategy, current_epoch=3, is_global_zero=True)


@pytest.mark.parametrize(("seconds", "stops"), [(0, True), (1000, False)])
def test_stops_when_the_next_epoch_would_end_too_late(seconds, stops, capsys):
    trainer, limit = fake_trainer(), TimeLimit(timedelta(seconds=seconds))
    limit.on_train_epoch_start(trainer, None)
    limit.on_train_epoch_end(trainer, None)
    assert trainer.should_stop is stops
    assert ("stopping after epoch 4" in capsys.readouterr().out) is stops


def state(wait_count, patience=2):
    return Patience("loss", patience=patience).state_dict() | {
        "wait_count": wait_count,
        "best_score": torch.tensor(1.0),
    }


@pytest.mark.parametrize(("patience", "stops"), [(2, True), (5, False)])
def test_a_resumed_run_stays_stopped_unless_patience_was_raised(patience, stops):
    callback, trainer = Patience("loss", patience=patience), fake_trainer()
    callback.load_state_dict(state(wait_count=2))
    callback.on_train_start(trainer, None)
    assert trainer.should_stop is stops
