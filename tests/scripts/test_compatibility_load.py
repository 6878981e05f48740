"""The order of TensorNet's weights in a file of TorchMD-NET, given to the commands where the file does not tell it."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from torchmdnet.config import Config
from torchmdnet.scripts import test, train
from torchmdnet.tensor_layout import layers_with_parts
from torchmdnet.training.run import train as train_model

OURS = ("format_version", "so3_convention", "repulsion", "compatibility_load")
"""Options that no file of TorchMD-NET 3.0 has."""


@pytest.fixture(scope="module")
def run(tmp_path_factory, small_run):
    """Options and folder of a short run of TensorNet."""
    options = small_run(tmp_path_factory.mktemp("run")) | {"model": "tensornet", "num_epochs": 1, "lr": 1e-9}
    train_model(Config.from_dict(options))
    return options


@pytest.fixture(params=[True, False], ids=["2.6.2", "3.0"])
def foreign(request, run, tmp_path):
    """A file as that release of TorchMD-NET wrote it, of the run's weights, and whether its order is the old one."""
    content = torch.load(f"{run['log_dir']}/last.ckpt", weights_only=True)
    options = {key: value for key, value in content["hyper_parameters"].items() if key not in OURS}
    weights = content["state_dict"]
    if request.param:
        for layer in layers_with_parts(weights, options):
            for part in ("weight", "bias"):
                weights[f"{layer}.{part}"] = to_old_layout(weights[f"{layer}.{part}"])
    path = tmp_path / "foreign.ckpt"
    torch.save({"state_dict": weights, "hyper_parameters": options, "epoch": 0, "global_step": 4}, path)
    return path, request.param


def to_old_layout(rows: Tensor) -> Tensor:
    channels = rows.shape[0] // 3
    return rows.reshape(3, channels, -1).transpose(0, 1).reshape(rows.shape).contiguous()


def errors(folder: Path) -> dict[str, float]:
    return {row["quantity"]: row["mae"] for row in json.loads((folder / "errors.json").read_text())}


def test_the_refusal_names_the_option_as_commands_spell_it(foreign, capsys):
    path, _ = foreign
    assert test.main(["--model", str(path)]) == 2
    assert train.main(["--load-model", str(path), "--reset-trainer"]) == 2
    for line in capsys.readouterr().err.splitlines():
        assert (
            "give --compatibility-load true (compatibility_load: true in YAML) if TorchMD-NET 2.6.2 or earlier" in line
        )


def test_a_test_with_the_option_gives_the_errors_of_the_model(run, foreign, tmp_path):
    path, is_old = foreign
    assert test.main(["--model", f"{run['log_dir']}/last.ckpt", "--output", str(tmp_path / "own")]) == 0
    words = ["--compatibility-load", str(is_old).lower(), "--output", str(tmp_path / "foreign")]
    assert test.main(["--model", str(path), *words]) == 0
    assert errors(tmp_path / "foreign") == pytest.approx(errors(tmp_path / "own"), rel=1e-6)


@pytest.mark.parametrize("given", [{"load_weights": True}, {"load_model": True, "reset_trainer": True}])
def test_training_starts_from_the_weights_of_the_model(run, foreign, given, tmp_path, write_yaml):
    path, is_old = foreign
    named = {key: str(path) if key.startswith("load") else value for key, value in given.items()}
    options = run | named | {"compatibility_load": is_old, "log_dir": str(tmp_path / "logs")}
    assert train.main(["--conf", str(write_yaml(options))]) == 0
    started, expected = (
        torch.load(f"{folder}/last.ckpt", weights_only=True)["state_dict"]
        for folder in (tmp_path / "logs", run["log_dir"])
    )
    for key, value in expected.items():
        torch.testing.assert_close(started[key], value, rtol=1e-5, atol=1e-6)


def test_a_resumed_run_of_this_package_needs_no_option(run, foreign, tmp_path):
    _, is_old = foreign
    words = ["--num-epochs", "2", "--log-dir", str(tmp_path / "logs"), "--compatibility-load", str(is_old).lower()]
    assert train.main(["--load-model", f"{run['log_dir']}/last.ckpt", *words]) == 0
    assert torch.load(tmp_path / "logs" / "last.ckpt", weights_only=True)["epoch"] == 1
