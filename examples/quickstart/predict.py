"""Predict energies and forces of molecules that the quick-start model has never seen, and compare with GFN2-xTB.

python examples/quickstart/predict.py logs/quickstart/best.ckpt
"""

import argparse
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.io import read

from torchmdnet.calculators import TMDNETCalculator

UNSEEN = Path(__file__).parent / "unseen.extxyz"


def print_prediction(predicted: Atoms, labelled: Atoms) -> None:
    """Energy and forces of one geometry, side by side with its labels."""
    print(f"{labelled.info['name']}, {labelled.get_chemical_formula()}, a molecule outside the training set")
    print(
        f"energy   {predicted.get_potential_energy():10.3f} eV     GFN2-xTB {labelled.get_potential_energy():10.3f} eV"
    )
    print("forces, eV/Å         x       y       z     GFN2-xTB x       y       z")
    rows = zip(predicted.symbols, predicted.get_forces(), labelled.get_forces(), strict=True)
    for index, (symbol, force, label) in enumerate(rows):
        numbers = "".join(f"{x:8.3f}" for x in force) + "     " + "".join(f"{x:8.3f}" for x in label)
        print(f"{index:4d} {symbol:<2s}      {numbers}")


def main() -> None:
    """Print the prediction for one geometry and the errors over all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="logs/quickstart/best.ckpt", help="checkpoint of torchmd-train")
    parser.add_argument("--fast", action="store_true", help="a few geometries only")
    args = parser.parse_args()

    labelled = read(UNSEEN, "::12" if args.fast else ":")
    calculator = TMDNETCalculator(args.model)
    predicted = [atoms.copy() for atoms in labelled]
    for atoms in predicted:
        atoms.calc = calculator

    print_prediction(predicted[0], labelled[0])
    print("\nmean absolute errors over all unseen geometries: forces, and energies less their mean for each molecule")
    for name in dict.fromkeys(atoms.info["name"] for atoms in labelled):
        pairs = [pair for pair in zip(predicted, labelled, strict=True) if pair[1].info["name"] == name]
        forces = np.concatenate([(one.get_forces() - two.get_forces()).ravel() for one, two in pairs])
        energies = np.array([one.get_potential_energy() - two.get_potential_energy() for one, two in pairs])
        per_atom = np.abs(energies - energies.mean()).mean() / len(pairs[0][0])
        print(f"{name:<14s} {1e3 * np.abs(forces).mean():6.1f} meV/Å {1e3 * per_atom:6.2f} meV/atom")


if __name__ == "__main__":
    main()
