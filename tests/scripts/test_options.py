"""What a run makes of its options: files from elsewhere, contradictions, packages and classes that are not there."""

import csv
import importlib.util
from pathlib import Path

import pytest
import torch
import yaml
from ase.io import read, write

from torchmdnet.checkpoint import load_model
from torchmdnet.config import Config
from torchmdnet.datasets import DATASETS
from torchmdnet.datasets.create import create_dataset
from torchmdnet.models import MODELS
from torchmdnet.priors import PRIORS
from torchmdnet.scripts.train import main

QUANTUM = ["QM9", "QM9q", "MD17", "MD22", "SPICE", "MACEOFF", "Ace", "AceHF", "GenentechTorsions", "WaterBox", "MDCATH"]
ANI = ["ANI1", "ANI1X", "ANI1CCX", "ANI2X", "COMP6v1", "COMP6v2"]
COMP6_PARTS = ["ANIMD", "DrugBank", "GDB07to09", "GDB10to13", "Tripeptides", "S66X8"]

OWN_DATASET = """
import ase.io
import torch
from torch_geometric.data import Data


class {name}:
    '''As in a script of PyTorch Geometric: nothing but len and samples.'''

    def __init__(self, root, *, every=1):
        self.images = ase.io.read(root, ":")[::every]

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        atoms = self.images[index]
        return Data(
            z=torch.as_tensor(atoms.numbers).long(),
            pos=torch.as_tensor(atoms.positions).float(),
            y=torch.tensor([[atoms.get_potential_energy()]]),
            neg_dy=torch.as_tensor(atoms.get_forces()).float(),
        )
"""


@pytest.fixture
def run(options, write_yaml):
    """Function that runs the command on a YAML file of options and further words."""
    return lambda *words, **given: main(["--conf", str(write_yaml({"num_epochs": 1} | options | given)), *words])


@pytest.fixture
def fails(run, capsys):
    """Function that runs the command, expects it to refuse its input, and returns the one line it says."""

    def command(*words, **given):
        assert run(*words, **given) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("torchmd-train: error")
        return line

    return command


def metrics(folder):
    with open(Path(folder) / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


# ------------------------------------------------------------------------------------------- files from elsewhere


@pytest.mark.parametrize("name", ["input.yaml", "hparams.yaml"])
def test_a_file_that_a_run_writes_repeats_it(run, options, tmp_path, name):
    assert run(prior_model=["Atomref", {"ZBL": {"cutoff_distance": 3.0}}]) == 0
    assert main(["--conf", f"{options['log_dir']}/{name}", "--log-dir", str(tmp_path / "again")]) == 0
    assert metrics(tmp_path / "again") == metrics(options["log_dir"])


@pytest.mark.parametrize("model", ["tensornet", "equivariant-transformer", "transformer", "graph-network"])
def test_hparams_of_torchmd_net_are_a_configuration(test_data, options, model):
    path = test_data / "contract" / "test_vectors" / "ckpt" / f"{model}.hparams.yaml"
    data = ["--dataset", "ExtXYZ", "--dataset-root", options["dataset_root"], "--log-dir", options["log_dir"]]
    assert main(["--conf", str(path), *data, "--train-size", "8", "--val-size", "4", "--test-size", "4"]) == 0
    stored = torch.load(f"{options['log_dir']}/best.ckpt", weights_only=True)["hyper_parameters"]
    assert stored["embedding_dimension"] == yaml.safe_load(path.read_text())["embedding_dimension"]


def test_training_goes_on_from_the_weights_of_a_checkpoint_of_torchmd_net(test_data, options):
    path = test_data / "contract" / "test_vectors" / "ckpt" / "equivariant-transformer.ckpt"
    words = ["--load-model", str(path), "--reset-trainer", "--lr", "1e-12", "--lr-min", "1e-13", "--num-epochs", "1"]
    words += ["--dataset", "ExtXYZ", "--dataset-root", options["dataset_root"], "--log-dir", options["log_dir"]]
    assert main([*words, "--train-size", "8", "--val-size", "4", "--test-size", "4", "--standardize", "false"]) == 0
    given, found = load_model(path), load_model(f"{options['log_dir']}/best.ckpt")
    for (name, weight), other in zip(given.named_parameters(), found.parameters(), strict=True):
        torch.testing.assert_close(weight, other, msg=name)


def test_dtype_float_is_what_is_done_anyway(run, options):
    assert run(dtype="float", check_errors=True) == 0
    stored = torch.load(f"{options['log_dir']}/best.ckpt", weights_only=True)["hyper_parameters"]
    assert stored["precision"] == 32
    assert not {"dtype", "check_errors"} & stored.keys()


def test_another_dtype_is_the_option_precision(fails):
    assert "unknown option 'dtype' (got 'double'); use precision: 64" in fails(dtype="double")


@pytest.mark.parametrize(("former", "name"), [("force_weight", "neg_dy_weight"), ("energy_weight", "y_weight")])
def test_an_option_of_old_releases_is_told_by_its_new_name(fails, former, name):
    assert f"unknown option '{former}'; what it did is the option '{name}' now (" in fails(**{former: 1.0})


def test_arguments_of_priors_that_do_not_fit(fails):
    assert "prior_args: got 2 entries for the 1 priors" in fails(prior_model="Atomref", prior_args=[{}, {}])


# ------------------------------------------------------------------------------------------------ contradictions


def test_reset_trainer_without_a_checkpoint(fails):
    assert "reset_trainer: true takes the weights of the checkpoint load_model" in fails("--reset-trainer")


def test_two_sources_of_weights(run, fails, options):
    assert run() == 0
    best = f"{options['log_dir']}/best.ckpt"
    assert "give one of them" in fails("--reset-trainer", load_model=best, load_weights=best)


def test_a_conf_that_started_from_weights_is_resumed(run, options, tmp_path):
    assert run() == 0
    given = {"load_weights": f"{options['log_dir']}/best.ckpt", "log_dir": str(tmp_path / "second")}
    assert run(**given) == 0
    assert run("--load-model", str(tmp_path / "second" / "last.ckpt"), **given, num_epochs=2) == 0
    assert [row["epoch"] for row in metrics(tmp_path / "second")] == ["0", "1", "2"]


def test_weights_of_another_size_are_told_by_name(run, fails, options):
    assert run() == 0
    message = fails(load_weights=f"{options['log_dir']}/best.ckpt", embedding_dimension=12)
    assert "do not fit the model: " in message
    assert "has shape " in message


@pytest.mark.parametrize("delta", [-1.0, "wide"])
def test_a_value_that_the_loss_does_not_take(fails, delta):
    message = fails(train_loss="huber_loss", train_loss_arg={"delta": delta})
    assert f"train_loss_arg: huber_loss does not take delta: {delta!r} (" in message


def test_a_log_folder_that_cannot_be_made(fails, tmp_path):
    (tmp_path / "file").write_text("")
    assert "log_dir: '" in fails(log_dir=str(tmp_path / "file" / "logs"))


def test_help_lists_what_can_be_named(capsys):
    with pytest.raises(SystemExit):
        main(["--conf", "any.yaml", "--help"])
    words = capsys.readouterr().out.replace("-\n", "-").replace(",", " ").replace(".", " ").split()
    assert {*DATASETS, *MODELS, *PRIORS, "Scalar", "DipoleMoment", "--batch_size"} <= set(words)


# ------------------------------------------------------------------------------------------------------- loggers


def test_weights_and_biases_that_is_not_installed(fails, monkeypatch):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "wandb" else find_spec(name))
    assert "wandb_use: true needs the package wandb: pip install 'torchmdnet[wandb]'" in fails(wandb_use=True)


def test_weights_and_biases_without_a_key(run, monkeypatch, tmp_path, capsys):
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))
    assert run(wandb_use=True) == 2
    assert "torchmd-train: error: No API key configured" in capsys.readouterr().err


def test_no_logger_but_the_csv_file_unless_asked_for(run, options):
    assert run() == 0
    names = {path.name for path in Path(options["log_dir"]).iterdir()}
    assert "metrics.csv" in names
    assert not {"tensorboard", "wandb"} & names


def test_an_error_is_in_the_log_too(run, options, tmp_path, capsys):
    (tmp_path / "empty.xyz").write_text("")
    assert run(redirect=True, dataset_root=str(tmp_path / "empty.xyz")) == 2
    assert "empty.xyz" in (Path(options["log_dir"]) / "log").read_text()
    assert "empty.xyz" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------ data sets


@pytest.mark.parametrize("name", [*QUANTUM, *ANI, *COMP6_PARTS, "HDF5", "Custom"])
def test_every_data_set_of_torchmd_net_is_known_by_its_name(name):
    assert DATASETS[name].__name__ == name


def test_an_unknown_data_set_lists_the_known_and_names_the_nearest(fails):
    message = fails(dataset="SPYCE")
    assert all(name in message for name in DATASETS)
    assert "did you mean 'SPICE'? A" not in message
    assert "did you mean 'SPICE'; a class of your own is named by its import path" in message.replace("?", "")


def test_a_data_set_of_the_users_by_its_import_path(run, options, tmp_path, monkeypatch):
    (tmp_path / "frames_of_mine.py").write_text(OWN_DATASET.format(name="MyFrames"))
    monkeypatch.chdir(tmp_path)
    sizes = {"train_size": 4, "val_size": 2, "test_size": 2}
    assert run(dataset="frames_of_mine.MyFrames", dataset_arg={"every": 2}, **sizes) == 0
    assert main(["--load-model", f"{options['log_dir']}/last.ckpt", "--num-epochs", "2"]) == 0
    assert metrics(options["log_dir"])[1]["epoch"] == "1"


def test_a_data_set_of_the_users_gives_the_numbers_of_its_file(options, tmp_path, monkeypatch):
    (tmp_path / "more_of_mine.py").write_text(OWN_DATASET.format(name="More"))
    monkeypatch.chdir(tmp_path)
    own = create_dataset(options | {"dataset": "more_of_mine.More"}, DATASETS).dataset
    given = create_dataset(Config.from_dict(options).to_dict(), DATASETS).dataset
    torch.testing.assert_close(own.energies(), given.energies().flatten(), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module.Frames", "the data set 'no_such_module.Frames' cannot be imported: No module named"),
        ("json.Frames", "the data set 'json.Frames' does not exist: module 'json' has no 'Frames'"),
        ("json.decoder.NaN", "the data set 'json.decoder.NaN' must be a class, not nan"),
    ],
)
def test_an_import_path_that_leads_nowhere(fails, name, message):
    assert message in fails(dataset=name)


def test_an_argument_that_a_data_set_of_the_users_does_not_have(fails, tmp_path, monkeypatch):
    (tmp_path / "others_of_mine.py").write_text(OWN_DATASET.format(name="Others"))
    monkeypatch.chdir(tmp_path)
    message = fails(dataset="others_of_mine.Others", dataset_arg={"evry": 2})
    assert "'evry' is not an argument of others_of_mine.Others (every); did you mean 'every'?" in message


# ----------------------------------------------------------------------------------------- energies and reference


@pytest.mark.parametrize("words", [["--remove-ref-energy"], ["--remove-ref-energy", "true"]])
def test_reference_energies_are_removed_and_put_back(run, options, words):
    assert run(*words, prior_model=None) == 0
    atoms = read(options["dataset_root"], 0)
    z, pos = torch.tensor(atoms.numbers), torch.tensor(atoms.positions)
    best = f"{options['log_dir']}/best.ckpt"
    without, total = (
        load_model(best, precision=64, **given)(z, pos)[0].item() for given in ({}, {"remove_ref_energy": False})
    )
    assert abs(without) < 5.0
    assert total - without == pytest.approx(-20.0 * len(atoms), abs=10.0)


def test_a_standardized_model_predicts_in_the_units_of_the_data(run, options, tmp_path):
    frames = read(options["dataset_root"], ":")
    for number, atoms in enumerate(frames):
        atoms.calc.results["energy"] = 5000.0 + number
        atoms.calc.results["forces"] *= 0.0
    write(tmp_path / "shifted.xyz", frames, format="extxyz")
    assert run(dataset_root=str(tmp_path / "shifted.xyz"), standardize=True, prior_model=None) == 0
    model = load_model(f"{options['log_dir']}/best.ckpt")
    assert 4990 < model.mean.item() < 5026
    assert 1 < model.std.item() < 20
