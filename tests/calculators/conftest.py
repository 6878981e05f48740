"""A small model, alone and as a checkpoint, and systems to put it on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import read
from tiny import small_model, small_options, write_checkpoint
from torch.nn.functional import mse_loss

from torchmdnet.potential import TorchMD_Net

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart"


@pytest.fixture(scope="module")
def model() -> TorchMD_Net:
    """Random weights, float64."""
    return small_model()


@pytest.fixture
def checkpoint(tmp_path: Path, model: TorchMD_Net) -> Path:
    """The model as a file."""
    return write_checkpoint(tmp_path / "model.ckpt", model, small_options())


@pytest.fixture
def ethanol() -> Atoms:
    """A molecule without a cell, off its symmetric geometry."""
    atoms = molecule("CH3CH2OH")
    atoms.rattle(0.05, seed=1)
    return atoms


@pytest.fixture
def crystal() -> Atoms:
    """A triclinic cell, thinner than the cutoff, with atoms off their sites."""
    atoms = bulk("C", "diamond", a=3.6)
    atoms.numbers[1] = 7
    strain = np.eye(3)
    strain[0, 1], strain[2, 0] = 0.1, -0.05
    atoms.set_cell(atoms.cell @ strain, scale_atoms=True)
    atoms.rattle(0.05, seed=2)
    return atoms


@pytest.fixture(scope="session")
def methanol_model() -> TorchMD_Net:
    """Trained for seconds on the quick start's methanol: a smooth surface with a minimum where it should be."""
    frames = [atoms for atoms in read(QUICKSTART / "quickstart.extxyz", ":") if atoms.info["name"] == "methanol"]
    z = torch.as_tensor(np.stack([atoms.numbers for atoms in frames]))
    pos = torch.as_tensor(np.stack([atoms.positions for atoms in frames]))
    forces = torch.as_tensor(np.stack([atoms.get_forces() for atoms in frames]))
    model = small_model(1, embedding_dimension=16, num_rbf=12, cutoff_upper=4.5).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    batch = torch.arange(21).repeat_interleave(z.shape[1])
    for step in range(240):
        rows = torch.arange(21) * 4 + step % 4
        _, predicted = model(z[rows].reshape(-1), pos[rows].reshape(-1, 3), batch, num_systems=21)
        optimizer.zero_grad()
        mse_loss(predicted, forces[rows].reshape(-1, 3)).backward()
        optimizer.step()
    return model.eval()
