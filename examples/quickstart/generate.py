"""Make the quick-start data set: small organic molecules from GFN2-xTB molecular dynamics, with energies and forces.

    pip install "tblite>=0.4"
    OMP_NUM_THREADS=1 python generate.py              # about 10 minutes on one core; writes next to this file

Three files come out, in extended XYZ with energies in eV and forces in eV/Å:

``quickstart.extxyz``  training and validation frames;
``test.extxyz``        frames of the same molecules from separate trajectories (other seeds);
``unseen.extxyz``      molecules that occur in neither of the other two.

Everything is seeded, and every frame is labelled from scratch at the rounded coordinates that are written: the labels
do not depend on the trajectory's electronic history, and are the energies and forces of exactly the stored geometry.
"""

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.build import molecule
from ase.constraints import FixCom
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import thermalize_momenta
from ase.optimize import BFGS
from tblite.ase import TBLite

MOLECULES = {
    "methanol": "CH3OH",
    "ethanol": "CH3CH2OH",
    "dimethylether": "CH3OCH3",
    "acetaldehyde": "CH3CHO",
    "acetone": "CH3COCH3",
    "aceticacid": "CH3COOH",
    "methylamine": "H3CNH2",
    "dimethylamine": "C2H6NH",
    "acetamide": "CH3CONH2",
    "acetonitrile": "CH3CN",
    "propane": "C3H8",
    "furan": "C4H4O",
}
UNSEEN = {"isopropanol": "C2H6CHOH", "ethylamine": "CH3CH2NH2", "methylformate": "HCOOCH3", "pyrrole": "C4H4NH"}
CLUSTER_OF = "methanol"
TEMPERATURES = (300.0, 450.0, 600.0)
TIMESTEP = 0.5 * units.fs
STEPS_BETWEEN_FRAMES = 100
EQUILIBRATION_STEPS = 1000


def calculator(**settings: float) -> TBLite:
    """GFN2-xTB without printing."""
    return TBLite(method="GFN2-xTB", verbosity=0, **settings)


def trajectory(
    start: Atoms, *, temperature: float, num_frames: int, seed: int, num_skipped: int = EQUILIBRATION_STEPS
) -> Iterator[Atoms]:
    """Geometries 50 fs apart from Langevin dynamics at ``temperature`` (K), after ``num_skipped`` steps."""
    rng = np.random.default_rng(seed)
    atoms = start.copy()
    atoms.calc = calculator()
    thermalize_momenta(atoms, temperature_K=temperature, rng=rng)
    atoms.set_constraint(FixCom())
    friction = 0.02 / units.fs
    dynamics = Langevin(atoms, TIMESTEP, temperature_K=temperature, friction=friction, rng=rng, fixcm=False)
    dynamics.run(num_skipped)
    for _ in range(num_frames):
        dynamics.run(STEPS_BETWEEN_FRAMES)
        yield atoms.copy()


def placed(single: Atoms, centres: np.ndarray, *, rng: np.random.Generator) -> Atoms:
    """Copies turned at random, centres of mass at ``centres``, relaxed for a few steps so that none overlap."""
    atoms = Atoms()
    for centre in centres:
        copy = single.copy()
        copy.euler_rotate(*rng.uniform(0.0, 360.0, size=3), center="COM")
        copy.translate(centre - copy.get_center_of_mass())
        atoms += copy
    atoms.calc = calculator()
    BFGS(atoms, logfile=None, maxstep=0.1).run(fmax=0.5, steps=15)
    return atoms


def labelled(atoms: Atoms) -> tuple[np.ndarray, float, np.ndarray]:
    """Coordinates rounded to the 1e-5 Å that are written, and the energy and forces there."""
    positions = np.round(atoms.positions - atoms.get_center_of_mass(), 5)
    fresh = Atoms(atoms.numbers, positions, calculator=calculator(accuracy=0.01))
    return positions, fresh.get_potential_energy(), fresh.get_forces()


def frame_text(atoms: Atoms, *, name: str, temperature: float) -> str:
    """One frame of extended XYZ."""
    positions, energy, forces = labelled(atoms)
    header = (
        f"Properties=species:S:1:pos:R:3:forces:R:3 energy={energy:.6f} charge=0 "
        f'name={name} temperature={temperature:.0f} pbc="F F F"'
    )
    rows = [
        f"{symbol:<2s}" + "".join(f"{x:10.5f}" for x in position) + "".join(f"{f:11.6f}" for f in force)
        for symbol, position, force in zip(atoms.symbols, positions, forces, strict=True)
    ]
    return "\n".join([str(len(atoms)), header, *rows]) + "\n"


def molecules(names: dict[str, str], *, frames_per_temperature: int, seed: int) -> Iterator[str]:
    """Frames of single molecules at every temperature."""
    for number, (name, formula) in enumerate(names.items()):
        for k, temperature in enumerate(TEMPERATURES):
            own_seed = seed + 10 * number + k
            frames = trajectory(
                molecule(formula), temperature=temperature, num_frames=frames_per_temperature, seed=own_seed
            )
            yield from (frame_text(frame, name=name, temperature=temperature) for frame in frames)


def clusters(*, num_dimers: int, num_droplets: int, seed: int) -> Iterator[str]:
    """Frames of methanol pairs, and of eight molecules pressed together that push apart: how molecules touch."""
    single = molecule(MOLECULES[CLUSTER_OF])
    for number in range(num_dimers):
        rng = np.random.default_rng(seed + number)
        start = placed(single, np.array([[0.0, 0.0, 0.0], [rng.uniform(3.2, 5.0), 0.0, 0.0]]), rng=rng)
        temperature = TEMPERATURES[number % 2]
        frames = trajectory(start, temperature=temperature, num_frames=8, seed=seed + number)
        yield from (frame_text(frame, name=f"{CLUSTER_OF}2", temperature=temperature) for frame in frames)
    for number in range(num_droplets):
        rng = np.random.default_rng(seed + 500 + number)
        start = placed(single, rng.uniform(3.4, 4.2) * np.array(list(np.ndindex(2, 2, 2))), rng=rng)
        temperature = TEMPERATURES[number % 2]
        frames = trajectory(start, temperature=temperature, num_frames=4, seed=seed + 500 + number, num_skipped=40)
        yield from (frame_text(frame, name=f"{CLUSTER_OF}8", temperature=temperature) for frame in frames)


def main() -> None:
    """Write the three files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent, help="where to write")
    parser.add_argument("--scale", type=float, default=1.0, help="fraction of the frames to make (a quick look: 0.04)")
    args = parser.parse_args()

    def count(full: int) -> int:
        return max(1, round(full * args.scale))

    files: dict[str, Iterator[str]] = {
        "quickstart.extxyz": itertools.chain(
            molecules(MOLECULES, frames_per_temperature=count(28), seed=1000),
            clusters(num_dimers=count(16), num_droplets=count(16), seed=20000),
        ),
        "test.extxyz": itertools.chain(
            molecules(MOLECULES, frames_per_temperature=count(6), seed=3000),
            clusters(num_dimers=count(2), num_droplets=count(2), seed=40000),
        ),
        "unseen.extxyz": molecules(UNSEEN, frames_per_temperature=count(4), seed=5000),
    }
    args.folder.mkdir(parents=True, exist_ok=True)
    for name, frames in files.items():
        texts = list(frames)
        (args.folder / name).write_text("".join(texts), encoding="utf-8")
        print(f"{name}: {len(texts)} frames")


if __name__ == "__main__":
    main()
