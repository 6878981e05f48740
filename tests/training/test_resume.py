"""A run that is stopped and resumed ends as the uninterrupted one does, bit for bit."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from torchmdnet.scripts.train import main
from torchmdnet.training.checkpointing import EpochCheckpoint

EVERYTHING = {
    "num_epochs": 7,
    "lr": 3e-2,
    "ema_decay": 0.9,
    "ema_alpha_y": 0.7,
    "ema_alpha_neg_dy": 0.7,
    "lr_patience": 0,
    "lr_warmup_steps": 5,
    "early_stopping_patience": 5,
    "train_loss": "huber_loss",
    "save_interval": 2,
    "num_workers": 0,
}
"""Every part of training that has a state."""


@pytest.fixture
def whole(options, write_yaml, tmp_path):
    """Options of a run and the checkpoint at its end, never interrupted."""
    options = options | EVERYTHING
    assert main(["--conf", str(write_yaml(options)), "--log-dir", str(tmp_path / "whole")]) == 0
    return options, tmp_path / "whole"


def assert_same(found, expected, *, where=""):
    """Equal in every tensor and number, to the last bit."""
    assert type(found) is type(expected), where
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key in expected:
            assert_same(found[key], expected[key], where=f"{where}/{key}")
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected), where
        for number, pair in enumerate(zip(found, expected, strict=True)):
            assert_same(*pair, where=f"{where}/{number}")
    elif isinstance(expected, torch.Tensor):
        assert torch.equal(found, expected), where
    else:
        assert found == expected, where


def assert_same_run(folder, whole):
    found, expected = (torch.load(path / "last.ckpt", weights_only=True) for path in (folder, whole))
    parts = {"state_dict", "training_weights", "optimizer_states", "schedule", "smoother", "rng", "num_averaged"}
    for part in sorted(parts | {"callbacks", "epoch", "global_step"}):
        assert_same(found[part], expected[part], where=part)
    assert (folder / "metrics.csv").read_text() == (whole / "metrics.csv").read_text()
    assert {path.name for path in folder.glob("*.ckpt")} == {path.name for path in whole.glob("*.ckpt")}
    best, best_of_whole = (torch.load(path / "best.ckpt", weights_only=True) for path in (folder, whole))
    assert_same(best["state_dict"], best_of_whole["state_dict"], where="best")


def test_after_kill_9(whole, write_yaml, tmp_path):
    options, expected = whole
    folder = tmp_path / "killed"
    conf = write_yaml(options | {"log_dir": str(folder)}, "killed.yaml")
    command = [sys.executable, "-m", "torchmdnet.scripts.train", "--conf", str(conf)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    # in another folder than the sources, so that what is installed is run
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    while not (folder / "last.ckpt").exists() and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert torch.load(folder / "last.ckpt", weights_only=True)["epoch"] < EVERYTHING["num_epochs"] - 1
    assert main(["--load-model", str(folder / "last.ckpt")]) == 0
    assert_same_run(folder, expected)


@pytest.mark.parametrize("moment", ["before_any_file", "between_best_and_last"])
def test_after_a_stop_while_the_checkpoint_is_written(whole, write_yaml, tmp_path, monkeypatch, moment):
    options, expected = whole
    folder = tmp_path / "stopped"
    conf = write_yaml(options | {"log_dir": str(folder)}, "stopped.yaml")
    write = EpochCheckpoint._write

    def stop(self, trainer, names, dropped):
        if trainer.current_epoch == 3:
            if moment == "between_best_and_last":
                self.last_path.rename(tmp_path / "kept")
                write(self, trainer, names, [])
                (tmp_path / "kept").rename(self.last_path)
            raise MemoryError("stopped by the test")
        write(self, trainer, names, dropped)

    monkeypatch.setattr(EpochCheckpoint, "_write", stop)
    with pytest.raises(MemoryError):
        main(["--conf", str(conf)])
    monkeypatch.undo()
    assert torch.load(folder / "last.ckpt", weights_only=True)["epoch"] == 2
    assert main(["--load-model", str(folder / "last.ckpt")]) == 0
    assert_same_run(folder, expected)


def test_from_an_older_checkpoint_than_the_last(options, write_yaml, tmp_path):
    conf = write_yaml(options | {"num_epochs": 4, "save_interval": 1, "log_dir": str(tmp_path / "run")})
    assert main(["--conf", str(conf)]) == 0
    expected = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["state_dict"]
    (older,) = (tmp_path / "run").glob("epoch=1-*")
    assert main(["--load-model", str(older)]) == 0
    assert_same(torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["state_dict"], expected)


def test_in_another_folder_leaves_the_first_alone(options, write_yaml, tmp_path):
    conf = write_yaml(options | {"log_dir": str(tmp_path / "run")})
    assert main(["--conf", str(conf)]) == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    checkpoint = str(tmp_path / "run" / "last.ckpt")
    assert main(["--load-model", checkpoint, "--num-epochs", "3", "--log-dir", str(tmp_path / "second")]) == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before
    assert torch.load(tmp_path / "second" / "last.ckpt", weights_only=True)["epoch"] == 2


def test_of_a_finished_run_only_tests_it_again(options, write_yaml, tmp_path):
    conf = write_yaml(options | {"log_dir": str(tmp_path / "run")})
    assert main(["--conf", str(conf)]) == 0
    before = (tmp_path / "run" / "last.ckpt").read_bytes(), (tmp_path / "run" / "metrics.csv").read_text()
    assert main(["--load-model", str(tmp_path / "run" / "last.ckpt")]) == 0
    assert ((tmp_path / "run" / "last.ckpt").read_bytes(), (tmp_path / "run" / "metrics.csv").read_text()) == before


def test_takes_a_learning_rate_given_anew(options, write_yaml, tmp_path):
    conf = write_yaml(options | {"log_dir": str(tmp_path / "run")})
    assert main(["--conf", str(conf)]) == 0
    assert main(["--load-model", str(tmp_path / "run" / "last.ckpt"), "--num-epochs", "3", "--lr", "1e-5"]) == 0
    content = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert content["optimizer_states"][0]["param_groups"][0]["lr"] == 1e-5


def test_needs_more_epochs_than_were_done(options, write_yaml, tmp_path, capsys):
    conf = write_yaml(options | {"log_dir": str(tmp_path / "run")})
    assert main(["--conf", str(conf)]) == 0
    assert main(["--load-model", str(tmp_path / "run" / "last.ckpt"), "--num-epochs", "1"]) == 2
    assert "num_epochs: got 1" in capsys.readouterr().err
