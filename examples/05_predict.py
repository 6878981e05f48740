"""Predict many systems in one call of the model, and find its errors by molecule.

    torchmd-train --conf examples/quickstart/quickstart.yaml
    python examples/05_predict.py logs/quickstart/best.ckpt

For one system at a time the ASE calculator is more convenient: see ``quickstart/predict.py``.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from ase.io import read

from torchmdnet.checkpoint import load_model

TEST = Path(__file__).parent / "quickstart" / "test.extxyz"


def main() -> None:
    """Concatenate all test frames into one batch, predict, and print a line for each kind of molecule."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="logs/quickstart/best.ckpt", help="checkpoint of torchmd-train")
    parser.add_argument("--fast", action="store_true", help="a few frames only")
    args = parser.parse_args()

    frames = read(TEST, "::20" if args.fast else ":")
    sizes = torch.tensor([len(atoms) for atoms in frames])
    model = load_model(args.model)
    prediction = model.compute(
        torch.as_tensor(np.concatenate([atoms.numbers for atoms in frames])),
        torch.as_tensor(np.concatenate([atoms.positions for atoms in frames])),
        torch.arange(len(frames)).repeat_interleave(sizes),
        num_systems=len(frames),
    )
    energies = prediction.energy[:, 0].numpy()
    forces = [chunk.numpy() for chunk in prediction.forces.split(sizes.tolist())]

    print("molecule        frames   energy (meV/atom)   forces (meV/Å)")
    for name in dict.fromkeys(atoms.info["name"] for atoms in frames):
        own = [k for k, atoms in enumerate(frames) if atoms.info["name"] == name]
        energy_errors = [abs(energies[k] - frames[k].get_potential_energy()) / len(frames[k]) for k in own]
        force_errors = np.concatenate([np.abs(forces[k] - frames[k].get_forces()).ravel() for k in own])
        print(f"{name:<15s} {len(own):6d} {1e3 * np.mean(energy_errors):19.2f} {1e3 * force_errors.mean():16.1f}")


if __name__ == "__main__":
    main()
