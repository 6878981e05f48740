"""Runs with priors, from the YAML file to the checkpoint and on."""

from typing import Any

import numpy as np
import pytest
import torch
import yaml
from ase.io import read, write

from torchmdnet.checkpoint import load_model
from torchmdnet.scripts.train import main

NEEDS = {"D3": "tad_dftd3", "Ewald": "torchpme"}

PRIORS: dict[str, Any] = {
    "D3": {"functional": "pbe", "cutoff_distance": 6.0},
    "D3 with triangles": {"functional": "b3lyp", "cutoff_distance": 6.0, "three_body": True, "three_body_cutoff": 4.0},
    "Ewald": {"cutoff": 5.0, "tolerance": 1e-4},
    "Ewald with charges": {"cutoff": 5.0, "charges": {"H": 0.1, 6: -0.2, "O": 0.0}},
    "Ewald on a mesh": {"cutoff": 5.0, "tolerance": 1e-3, "method": "pme"},
}


@pytest.fixture
def charged_crystals(options, tmp_path):
    """Data with partial charges; every other frame has a cell."""
    frames = read(options["dataset_root"], ":")
    for number, atoms in enumerate(frames):
        atoms.set_initial_charges(np.linspace(-0.1, 0.1, len(atoms)))
        atoms.set_cell(np.eye(3) * (6.0 + 0.1 * number))
        atoms.pbc = number % 2 == 0
    write(tmp_path / "charged.xyz", frames)
    return str(tmp_path / "charged.xyz")


@pytest.mark.parametrize("case", PRIORS)
def test_a_run_is_trained_resumed_and_loaded(case, options, charged_crystals, write_yaml):
    name = case.split()[0]
    pytest.importorskip(NEEDS[name])
    given = {"prior_model": ["Atomref", {name: PRIORS[case]}], "dataset_root": charged_crystals, "num_epochs": 1}
    given |= {"dataset_arg": {"partial_charges_key": "initial_charges"}}
    assert main(["--conf", str(write_yaml(options | given))]) == 0
    last = f"{options['log_dir']}/last.ckpt"
    assert main(["--load-model", last, "--num-epochs", "2"]) == 0
    content = torch.load(last, weights_only=True)
    assert content["epoch"] == 1
    prior = load_model(last).prior_model[1]
    assert type(prior).__name__ == name
    assert prior.get_init_args() == content["hyper_parameters"]["prior_args"][1]


def test_a_prior_in_a_file_of_the_users_is_trained_and_loaded(options, tmp_path, monkeypatch, write_yaml):
    (tmp_path / "traps_of_mine.py").write_text(
        "from torchmdnet.priors import BasePrior\n"
        "class Trap(BasePrior):\n"
        "    def __init__(self, k=1.0, dataset=None):\n"
        "        super().__init__()\n"
        "        self.k = k\n"
        "    def get_init_args(self):\n"
        "        return {'k': self.k}\n"
        "    def pre_reduce(self, x, z, pos, batch, extra_args=None):\n"
        "        return x + 0.5 * self.k * (pos * pos).sum(1, keepdim=True)\n"
    )
    monkeypatch.chdir(tmp_path)
    config = write_yaml(options | {"prior_model": {"traps_of_mine.Trap": {"k": 2.0}}, "num_epochs": 1})
    assert main(["--conf", str(config)]) == 0
    written = yaml.safe_load((tmp_path / options["log_dir"] / "input.yaml").read_text())
    assert written["prior_model"] == {"traps_of_mine.Trap": {"k": 2.0}}
    model = load_model(f"{options['log_dir']}/best.ckpt", derivative=True)
    assert model.prior_model[0].k == 2.0
    z, pos = torch.tensor([1, 1]), torch.tensor([[30.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(model(z, pos)[1], -2.0 * pos)


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ("D3", "D3 needs the functional of the data, as in D3: {functional: pbe}"),
        ({"D3": {"functional": "pbee"}}, "D3 knows no Becke-Johnson damping for the functional 'pbee'"),
        ({"Ewald": {"charges": {"H": 0.1}}}, "Ewald: 'charges' has none for "),
        ("Ewald", "the prior Ewald needs the charge of each atom"),
        ({"Ewald": {"cutoff": "six"}}, "Ewald: 'cutoff' must be a number above 0, not 'six'"),
        ({"ZBL": {"cutoff_distance": "four"}}, "ZBL: 'cutoff_distance' must be a number above 0, not 'four'"),
    ],
)
def test_a_prior_without_sense_is_one_line(prior, message, options, write_yaml, capsys):
    for module in NEEDS.values():
        pytest.importorskip(module)
    assert main(["--conf", str(write_yaml(options | {"prior_model": prior}))]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("torchmd-train: error")]
    assert message in line
