"""What a running training shows."""

import sys
from types import SimpleNamespace

import pytest
import torch

from torchmdnet.training.progress import RunProgress


def trainer(step, epoch):
    return SimpleNamespace(
        global_step=step,
        current_epoch=epoch,
        max_epochs=10,
        num_training_batches=4,
        callback_metrics={"train_total_mse_loss": torch.tensor(0.25), "val_total_mse_loss": torch.tensor(0.5)},
    )


def show(progress):
    progress.on_train_start(trainer(4, 1), None)
    progress.on_train_epoch_start(trainer(4, 1), None)
    for step in range(5, 9):
        progress._last_refresh = 0.0
        progress.on_train_batch_end(trainer(step, 1), None, None, None, 0)
    progress.on_train_epoch_start(trainer(8, 2), None)
    progress.on_train_end(trainer(8, 2), None)


def test_prints_a_line_an_epoch_where_there_is_no_terminal(capsys):
    show(RunProgress("val_total_mse_loss"))
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("epoch 2/10  train_total_mse_loss 0.25  val_total_mse_loss 0.5  ")
    assert "steps/s  remaining " in first


def test_remaining_time_is_that_of_the_whole_run(monkeypatch):
    progress, clock = RunProgress("val_total_mse_loss"), [100.0]
    monkeypatch.setattr("torchmdnet.training.progress.time.monotonic", lambda: clock[0])
    progress.on_train_start(trainer(4, 1), None)
    clock[0] += 8.0
    assert progress._speed(trainer(8, 2)) == "0.50 steps/s  remaining 0:01:04"


def test_shows_a_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    progress = RunProgress("val_total_mse_loss")
    progress.on_train_start(trainer(4, 1), None)
    assert progress._bar is not None
    progress.on_exception(trainer(4, 1), None, KeyboardInterrupt())
    assert progress._bar is None


@pytest.mark.parametrize("enabled", [True, False])
def test_other_processes_are_silent(capsys, enabled):
    progress = RunProgress("val_total_mse_loss")
    if not enabled:
        progress.disable()
    show(progress)
    assert bool(capsys.readouterr().out) is enabled
