"""MACE or NequIP on one system, in a process of its own, for ``architectures.py``; orders and answers in JSON.

    python benchmarks/architectures_worker.py MACE-128x1o --system 166 --threads 1 --memory 14

The weights are random: a call takes as long as with trained ones. Neighbour lists and batches are made beforehand and
not timed.
"""

import argparse
import importlib
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from devices import timed_cpu, until
from inference_cases import CUTOFF, Atoms, make_system
from worker_protocol import peak_bytes, serve

NUMBERS = (1, 8)
NEIGHBORS = 50.0
"""Neighbours that the networks divide by: it scales a random network and costs nothing."""
WARM_UP = 3
"""Calls before the first that counts: TorchScript compiles during these."""


class Peer(NamedTuple):
    """An architecture of another package."""

    distribution: str
    make: Callable[[Atoms, str], Callable[[], Any]]
    """The call to time, for atoms and the size of the model."""
    size: str


def make_mace(atoms: Atoms, irreps: str) -> Callable[[], Any]:
    """A two-layer MACE as in MACE-OFF23: spherical harmonics up to 3 and correlation 3."""
    o3 = importlib.import_module("e3nn.o3")
    mace = importlib.import_module("mace.modules")
    block = mace.interaction_classes["RealAgnosticResidualInteractionBlock"]
    model = mace.ScaleShiftMACE(
        r_max=CUTOFF,
        num_bessel=8,
        num_polynomial_cutoff=5,
        max_ell=3,
        interaction_cls=block,
        interaction_cls_first=block,
        num_interactions=2,
        num_elements=len(NUMBERS),
        hidden_irreps=o3.Irreps(irreps),
        MLP_irreps=o3.Irreps("16x0e"),
        atomic_energies=torch.zeros(len(NUMBERS)).numpy(),
        avg_num_neighbors=NEIGHBORS,
        atomic_numbers=list(NUMBERS),
        correlation=3,
        gate=torch.nn.functional.silu,
        atomic_inter_scale=1.0,
        atomic_inter_shift=0.0,
    )
    model.eval().requires_grad_(False)
    batch = mace_batch(atoms)
    return lambda: model(dict(batch), compute_stress=False)


def mace_batch(atoms: Atoms) -> dict[str, Any]:
    """The atoms as MACE's loader gives them, in float32."""
    data = importlib.import_module("mace.data")
    tools = importlib.import_module("mace.tools")
    loaders = importlib.import_module("mace.tools.torch_geometric.dataloader")
    table = tools.AtomicNumberTable(list(NUMBERS))
    frames = []
    for system in range(int(atoms.batch[-1]) + 1):
        mine = atoms.batch == system
        configuration = data.Configuration(
            atomic_numbers=atoms.z[mine],
            positions=atoms.pos[mine].astype(float),
            properties={},
            property_weights={},
            cell=None if atoms.box is None else atoms.box.astype(float),
            pbc=(atoms.box is not None,) * 3,
        )
        frames.append(data.AtomicData.from_config(configuration, z_table=table, cutoff=CUTOFF))
    batch: dict[str, Any] = next(iter(loaders.DataLoader(frames, batch_size=len(frames), shuffle=False))).to_dict()
    return batch


def make_nequip(atoms: Atoms, preset: str) -> Callable[[], Any]:
    """NequIP's message passing network in one of the sizes of its foundation models, not compiled."""
    importlib.import_module("nequip.utils.global_state").set_global_state()
    models = importlib.import_module("nequip.model.nequip_models")
    model = models.PresetNequIPGNNModel(
        preset=preset,
        seed=1,
        model_dtype="float32",
        compile_mode="eager",
        r_max=CUTOFF,
        type_names=["H", "O"],
        avg_num_neighbors=NEIGHBORS,
    )
    model.eval().requires_grad_(False)
    batch = nequip_batch(atoms)
    return lambda: model(dict(batch))


def nequip_batch(atoms: Atoms) -> dict[str, Any]:
    """The atoms as NequIP's transforms give them."""
    data = importlib.import_module("nequip.data")
    types = torch.as_tensor(atoms.z == NUMBERS[1]).long()
    frames = []
    for system in range(int(atoms.batch[-1]) + 1):
        mine = torch.as_tensor(atoms.batch == system)
        frame = {
            "pos": torch.as_tensor(atoms.pos)[mine].double(),
            "atom_types": types[mine],
            "pbc": torch.full((3,), atoms.box is not None),
        }
        if atoms.box is not None:
            frame["cell"] = torch.as_tensor(atoms.box).double()
        frames.append(data.compute_neighborlist_(data.from_dict(frame), r_max=CUTOFF))
    batch: dict[str, Any] = data.AtomicDataDict.batched_from_list(frames)
    return batch


PEERS = {
    "MACE-128x0e": Peer("mace-torch", make_mace, "128x0e"),
    "MACE-128x1o": Peer("mace-torch", make_mace, "128x0e + 128x1o"),
    "NequIP-S": Peer("nequip", make_nequip, "S"),
    "NequIP-M": Peer("nequip", make_nequip, "M"),
}


class Worker:
    """A model and its system."""

    def __init__(self, peer: Peer, *, system: str) -> None:
        self.peer = peer
        self.system = system
        self._run: Callable[[], Any] = lambda: None

    def prepare(self) -> dict[str, Any]:
        """Make the model and call it until it is warm."""
        torch.manual_seed(1)
        self._run = self.peer.make(make_system(self.system), self.peer.size)
        for _ in range(WARM_UP):
            self._run()
        return {}

    def measure(self, *, seconds: float) -> dict[str, Any]:
        """Times of calls."""
        return {"times": until(seconds, lambda: timed_cpu(self._run))}

    def peak(self) -> dict[str, Any]:
        """Bytes of this process at its largest, torch included."""
        return {"bytes": peak_bytes()}


def main() -> None:
    """Obey until stdin ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=list(PEERS))
    parser.add_argument("--system", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--memory", type=float, required=True, help="GiB that the process may hold")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    peer = PEERS[options.name]
    serve(lambda: Worker(peer, system=options.system), distribution=peer.distribution, memory=options.memory)


if __name__ == "__main__":
    main()
