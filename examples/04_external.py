"""Several replicas of one molecule in a single call, through the interface that TorchMD uses.

    torchmd-train --conf examples/quickstart/quickstart.yaml
    python examples/04_external.py logs/quickstart/best.ckpt

TorchMD makes the same object from its configuration file:

    external: {module: torchmdnet.calculators, file: logs/quickstart/best.ckpt, embeddings: [8, 6, 6, ...]}
"""

import argparse

import torch
from ase.build import molecule
from ase.units import fs

from torchmdnet.calculators import External

NUM_REPLICAS = 4
TIMESTEP = 0.5 * fs
"""In Å (amu/eV)^½, the unit of time that goes with eV, Å and amu."""


def main() -> None:
    """Run replicas of ethanol side by side with velocity Verlet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="logs/quickstart/best.ckpt", help="checkpoint of torchmd-train")
    parser.add_argument("--fast", action="store_true", help="a few steps only")
    args = parser.parse_args()

    atoms = molecule("CH3CH2OH")
    numbers = torch.as_tensor(atoms.numbers).repeat(NUM_REPLICAS, 1)
    masses = torch.as_tensor(atoms.get_masses())[:, None]
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn((NUM_REPLICAS, len(atoms), 3), generator=generator, dtype=torch.float64)
    pos = torch.as_tensor(atoms.positions) + 0.03 * noise
    velocity = torch.zeros_like(pos)

    external = External(args.model, numbers, dtype=torch.float64)
    energy, forces = external.calculate(pos)
    start = energy
    for _ in range(5 if args.fast else 400):
        velocity += 0.5 * TIMESTEP * forces / masses
        pos += TIMESTEP * velocity
        energy, forces = external.calculate(pos)
        velocity += 0.5 * TIMESTEP * forces / masses
    kinetic = (0.5 * masses * velocity**2).sum((1, 2))
    for k in range(NUM_REPLICAS):
        change = (energy[k] - start[k]).item()
        print(
            f"replica {k}: potential {change:+.4f} eV, kinetic {kinetic[k]:+.4f} eV, sum {change + kinetic[k]:+.5f} eV"
        )

    in_kcal = External(args.model, numbers, output_transform="eV/A -> kcal/mol/A", dtype=torch.float64)
    print(f"replica 0 in TorchMD's unit: {in_kcal.calculate(pos)[0][0].item():.2f} kcal/mol")


if __name__ == "__main__":
    main()
