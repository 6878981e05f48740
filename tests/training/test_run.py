"""A training run from options to files."""

import csv
import json

import numpy as np
import pytest
import torch
import yaml
from ase.io import read, write

from torchmdnet.checkpoint import load_model
from torchmdnet.config import Config
from torchmdnet.training.run import train


def rows(folder):
    with open(folder / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, small_run):
    """A run of three epochs with averaged weights."""
    folder = tmp_path_factory.mktemp("run")
    options = small_run(folder) | {"num_epochs": 3, "ema_decay": 0.9, "save_interval": 2}
    return train(Config.from_dict(options)), folder / "logs"


def test_writes_the_files_that_torchmd_net_writes(finished):
    names = {path.name for path in finished[1].iterdir()}
    assert {"input.yaml", "splits.npz", "metrics.csv", "hparams.yaml", "best.ckpt", "last.ckpt"} <= names
    assert {"test_errors.csv", "test_errors.json", "parity.png"} <= names


def test_leaves_no_temporary_file(finished):
    assert [path.name for path in finished[1].iterdir() if path.name.startswith(".")] == []


def test_saves_every_interval_and_the_last_epoch(finished):
    names = sorted(path.name for path in finished[1].glob("epoch=*"))
    assert [name.split("-")[0] for name in names] == ["epoch=1", "epoch=2"]


def test_a_name_has_no_test_loss_that_was_not_computed(finished):
    assert not list(finished[1].glob("*test_loss*"))


def test_metrics_have_the_names_of_torchmd_net(finished):
    columns = set(rows(finished[1])[0])
    expected = {f"train_{kind}_mse_loss" for kind in ("y", "neg_dy", "total")}
    expected |= {f"val_{kind}_{loss}" for kind in ("y", "neg_dy", "total") for loss in ("mse_loss", "l1_loss")}
    expected |= {f"test_{kind}_l1_loss" for kind in ("y", "neg_dy", "total")}
    assert columns == expected | {"epoch", "lr", "step"}


def test_metrics_have_a_row_an_epoch_and_one_of_the_test(finished):
    found = rows(finished[1])
    assert [row["epoch"] for row in found] == ["0", "1", "2", "3"]
    assert [row["test_total_l1_loss"] != "" for row in found] == [False, False, False, True]
    assert [row["step"] for row in found[:3]] == ["2", "4", "6"]


def test_total_is_the_weighted_sum(finished):
    row = rows(finished[1])[0]
    total = float(row["val_y_l1_loss"]) + float(row["val_neg_dy_l1_loss"])
    assert float(row["val_total_l1_loss"]) == pytest.approx(total, rel=1e-6)


def test_checkpoint_is_readable_without_running_code(finished):
    content = torch.load(finished[1] / "last.ckpt", weights_only=True)
    assert content["hyper_parameters"]["format_version"] >= 1
    assert "check_errors" not in content["hyper_parameters"]
    assert content["hyper_parameters"]["prior_args"] == [{"max_z": 100, "trainable": False, "enable": True}]
    assert content["global_step"] == 6


def test_best_model_has_the_averaged_weights(finished):
    result, folder = finished
    content = torch.load(folder / "best.ckpt", weights_only=True)
    name = next(name.removeprefix("model.") for name in content["training_weights"])
    averaged, raw = content["state_dict"][f"model.{name}"], content["training_weights"][f"model.{name}"]
    assert not torch.equal(averaged, raw)
    assert torch.equal(load_model(result.best).state_dict()[name], averaged)


def test_best_model_has_the_lowest_validation_loss(finished):
    losses = [float(row["val_total_mse_loss"]) for row in rows(finished[1]) if row["val_total_mse_loss"]]
    content = torch.load(finished[1] / "best.ckpt", weights_only=True)
    assert losses[content["epoch"]] == min(losses)


def test_model_of_the_checkpoint_has_the_reported_errors(finished):
    result, _ = finished
    model = load_model(result.best, derivative=True)
    data = result.module.trainer.datamodule
    batch = data.dataset.get_batch(data.idx_test)
    energy, forces = model(batch.z, batch.pos.float(), batch.batch)
    reported = {row.quantity: row for row in result.errors["test"].rows}
    assert 1000 * (forces - batch.neg_dy).abs().mean().item() == pytest.approx(reported["forces"].mae, rel=1e-4)
    assert 1000 * (energy - batch.y).abs().mean().item() == pytest.approx(reported["energy"].mae, rel=1e-3)


def test_validation_is_that_of_the_averaged_weights(finished):
    result, folder = finished
    content = torch.load(folder / "best.ckpt", weights_only=True)
    logged = float(rows(folder)[content["epoch"]]["val_neg_dy_l1_loss"])
    reported = {row.quantity: row for row in result.errors["val"].rows}
    assert 1000 * logged == pytest.approx(reported["forces"].mae, rel=1e-5)


def test_table_of_errors_is_in_files_too(finished):
    result, folder = finished
    stored = json.loads((folder / "test_errors.json").read_text())
    assert [row["quantity"] for row in stored if row["set"] == "test"][:3] == ["energy", "energy per atom", "forces"]
    assert len(stored) == sum(len(found.rows) for found in result.errors.values())


def test_input_yaml_runs_the_run_again(finished, tmp_path):
    options = yaml.safe_load((finished[1] / "input.yaml").read_text())
    again = train(Config.from_dict(options | {"log_dir": str(tmp_path), "num_epochs": 3}))
    for name, weight in again.module.state_dict().items():
        assert torch.equal(weight, finished[0].module.state_dict()[name]), name


def test_test_interval_adds_the_test_loss_to_metrics_and_name(config):
    result = train(config(test_interval=1, save_interval=1, num_epochs=3))
    folder = result.best.parent
    found = rows(folder)
    assert [row["test_total_l1_loss"] != "" for row in found] == [False, True, True, True]
    names = sorted(path.name for path in folder.glob("epoch=*"))
    assert ["-test_loss=" in name for name in names] == [False, True, True]


def test_keeps_the_best_files_only(config, monkeypatch):
    result = train(config(save_interval=1, num_epochs=12, val_size=2))
    folder = result.best.parent
    losses = [float(row["val_total_mse_loss"]) for row in rows(folder) if row["val_total_mse_loss"]]
    kept = {int(path.name.split("-")[0].removeprefix("epoch=")) for path in folder.glob("epoch=*")}
    assert kept == set(sorted(range(12), key=lambda epoch: losses[epoch])[:10])


def test_remove_ref_energy_trains_on_what_is_left_and_keeps_the_table(config, options):
    result = train(config(remove_ref_energy=True, prior_model=None))
    content = torch.load(result.best, weights_only=True)
    assert content["hyper_parameters"]["prior_model"] == [{"Atomref": {"enable": False}}]
    data = result.module.trainer.datamodule
    batch = data.dataset.get_batch(data.idx_test)
    total = load_model(result.best, remove_ref_energy=False)(batch.z, batch.pos.float(), batch.batch)[0]
    rest = load_model(result.best)(batch.z, batch.pos.float(), batch.batch)[0]
    assert (total - batch.y).abs().max() < 10
    assert (rest - batch.y).abs().min() > 30


@pytest.mark.parametrize("precision", [64, "bf16-mixed"])
def test_trains_in_other_precisions(config, precision):
    result = train(config(precision=precision, num_epochs=1))
    dtype = torch.float64 if precision == 64 else torch.float32
    assert {weight.dtype for weight in result.module.model.parameters()} == {dtype}


def test_trains_the_equivariant_transformer(config):
    result = train(config(model="equivariant-transformer", num_heads=2, num_epochs=1))
    assert result.errors["test"].rows


def test_trains_on_stress(config, options, tmp_path):
    frames = read(options["dataset_root"], ":")
    for atoms in frames:
        atoms.set_cell([5.0, 5.5, 6.0])
        atoms.pbc = True
        atoms.calc.results["stress"] = np.full(6, 0.01)
    write(tmp_path / "periodic.xyz", frames)
    result = train(config(dataset_root=str(tmp_path / "periodic.xyz"), stress_weight=1.0, num_epochs=1))
    assert "val_stress_l1_loss" in rows(result.best.parent)[0]
    assert [row.unit for row in result.errors["test"].rows if row.quantity == "stress"] == ["meV/Å³"]


def test_energies_alone_need_no_forces(config):
    result = train(config(derivative=False, num_epochs=1))
    assert {row.quantity for row in result.errors["test"].rows} == {"energy", "energy per atom"}


def test_smoothed_loss_and_clipping_and_cosine_and_warm_up_work_together(config):
    result = train(
        config(ema_alpha_y=0.5, ema_alpha_neg_dy=0.5, gradient_clipping=1.0, lr_scheduler="cosine", lr_warmup_steps=2)
    )
    rates = [float(row["lr"]) for row in rows(result.best.parent) if row["lr"]]
    assert 0 < rates[1] < rates[0] < 1e-3


def test_early_stopping_ends_the_run(config):
    result = train(config(num_epochs=20, early_stopping_patience=1, lr=1e-9, lr_min=1e-10, weight_decay=0.0))
    assert len(rows(result.best.parent)) < 15


def test_a_later_run_in_the_same_folder_sets_the_metrics_aside(config):
    train(config(num_epochs=1))
    result = train(config(num_epochs=1))
    assert len(rows(result.best.parent)) == 2
    assert len(list(result.best.parent.glob("metrics_*.csv"))) == 1


def test_weights_of_a_checkpoint_start_a_new_run(config, tmp_path):
    first = train(config())
    for given in ({"load_weights": str(first.best)}, {"load_model": str(first.best), "reset_trainer": True}):
        second = train(config(log_dir=str(tmp_path / "second"), num_epochs=1, lr=1e-12, lr_min=1e-13, **given))
        for name, weight in first.module.state_dict().items():
            torch.testing.assert_close(weight, second.module.state_dict()[name])
        assert rows(tmp_path / "second")[0]["epoch"] == "0"
