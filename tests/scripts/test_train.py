"""How ``torchmd-train`` ends: exit code and last words."""

import signal

import numpy as np
import pytest
import torch

from torchmdnet.scripts import train as script
from torchmdnet.scripts.train import main, read_config
from torchmdnet.training.progress import RunProgress


@pytest.fixture
def conf(options, write_yaml):
    """Function that writes the YAML file of a small run and returns the words of its command line."""
    return lambda **given: ["--conf", str(write_yaml(options | given))]


def last_epoch(options):
    return torch.load(f"{options['log_dir']}/last.ckpt", weights_only=True)["epoch"]


def at_epoch(monkeypatch, number, action):
    """Do something as an epoch starts."""
    report = RunProgress.on_train_epoch_start

    def hook(self, trainer, pl_module):
        report(self, trainer, pl_module)
        if trainer.current_epoch == number:
            action(pl_module)

    monkeypatch.setattr(RunProgress, "on_train_epoch_start", hook)


def test_prints_a_line_an_epoch_the_table_and_where_the_files_are(conf, options, capsys):
    assert main(conf()) == 0
    text = capsys.readouterr().out
    assert "epoch 2/2  train_total_mse_loss" in text
    assert "steps/s  remaining 0:00:00" in text
    assert "meV/atom" in text
    assert f"best model       {options['log_dir']}/best.ckpt" in text
    assert f"torchmd-train --load-model {options['log_dir']}/last.ckpt" in text


def test_says_nothing_on_stderr_when_all_is_well(conf, capsys):
    main(conf())
    assert capsys.readouterr().err == ""


def test_nan_in_the_weights_stops_the_run_names_the_batch_and_keeps_the_last_good_checkpoint(
    conf, options, monkeypatch, capsys
):
    def spoil(module):
        with torch.no_grad():
            next(module.model.parameters()).fill_(float("nan"))

    at_epoch(monkeypatch, 2, spoil)
    assert main(conf(num_epochs=5)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("torchmd-train: error: the training loss is nan, in the batch of ")
    assert line.count("molecules.xyz, frame ") == options["batch_size"]
    assert last_epoch(options) == 1
    state = torch.load(f"{options['log_dir']}/last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.isfinite(value).all() for value in state.values())


def test_an_infinite_gradient_stops_the_run(conf, monkeypatch, capsys):
    def spoil(module):
        weight = next(weight for weight in module.model.parameters() if weight.requires_grad)
        weight.register_hook(lambda gradient: gradient * float("inf"))

    at_epoch(monkeypatch, 1, spoil)
    assert main(conf(num_epochs=3)) == 1
    assert "the gradient of the loss is " in capsys.readouterr().err


def test_ctrl_c_keeps_the_last_epoch(conf, options, monkeypatch, capsys):
    def interrupt(module):
        raise KeyboardInterrupt

    handler = signal.getsignal(signal.SIGINT)
    at_epoch(monkeypatch, 1, interrupt)
    try:
        assert main(conf(num_epochs=3)) == 130
    finally:
        signal.signal(signal.SIGINT, handler)
    assert "torchmd-train: interrupted; last.ckpt is of the last finished epoch" in capsys.readouterr().err
    assert last_epoch(options) == 0


def test_sigterm_keeps_the_last_epoch(conf, options, monkeypatch, capsys):
    at_epoch(monkeypatch, 1, lambda module: signal.raise_signal(signal.SIGTERM))
    assert main(conf(num_epochs=3)) == 143
    assert "torchmd-train: terminated" in capsys.readouterr().err
    assert last_epoch(options) == 0


def test_a_mistake_in_the_program_keeps_its_traceback(conf, monkeypatch):
    monkeypatch.setattr(script, "train", lambda config: np.zeros(2) + np.zeros(3))
    with pytest.raises(ValueError, match="could not be broadcast"):
        main(conf())


def test_a_time_limit_ends_the_run_cleanly(conf, options, capsys):
    assert main(conf(num_epochs=1000, max_time="00:00:00:01")) == 0
    assert "max_time: stopping after epoch" in capsys.readouterr().out
    assert 0 < last_epoch(options) < 999


def test_a_resumed_run_does_not_take_over_how_the_first_one_started(conf, options):
    main(conf(num_epochs=1))
    checkpoint = f"{options['log_dir']}/last.ckpt"
    main(["--load-model", checkpoint, "--reset-trainer"])
    assert last_epoch(options) == 0
    config = read_config(["--load-model", checkpoint, "--num-epochs", "2"])
    assert (config.reset_trainer, config.load_model, config.load_weights) == (False, checkpoint, None)


def test_resuming_needs_no_other_option(conf, options):
    main(conf(num_epochs=1, seed=7))
    config = read_config(["--load-model", f"{options['log_dir']}/last.ckpt"])
    assert (config.seed, config.dataset_root) == (7, options["dataset_root"])


def test_help_exits_with_success(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code in {0, None}
    assert "--batch_size" in capsys.readouterr().out
