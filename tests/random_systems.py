"""Crystals and molecules of every awkward shape, for the neighbour search."""

import numpy as np
import torch
from image_sums import images
from torch import Tensor

from torchmdnet.graph import Graph, System
from torchmdnet.neighbors import neighbor_graph

CELLS = ("plain", "skewed", "long", "thin", "tiny")
"""Kinds of cells: any angles; nearly flat; one long axis; one axis far below the cutoff; all below an atom spacing."""

MOST_IMAGES = 10_000
"""Images of an atom within the cutoff, at most: the explicit sum must stay quick."""


def make_system(
    pos: Tensor,
    batch: Tensor | None = None,
    box: Tensor | None = None,
    pbc: Tensor | None = None,
    num: int | None = None,
) -> System:
    """Hydrogen atoms, all in one system if no batch is given."""
    batch = torch.zeros(len(pos), dtype=torch.int64) if batch is None else batch
    num = (int(batch.max()) + 1 if len(batch) else 1) if num is None else num
    return System(z=torch.ones(len(pos), dtype=torch.int64), pos=pos, batch=batch, num_systems=num, box=box, pbc=pbc)


def graph_of(system: System, upper: float = 3.0, lower: float = 0.0, loop: bool = False) -> Graph:
    """The neighbours of a system."""
    return neighbor_graph(system, cutoff_lower=lower, cutoff_upper=upper, loop=loop)


def periodic_example(dtype: torch.dtype = torch.float64, num_atoms: int = 12) -> System:
    """A dozen atoms in a left-handed triclinic cell that is smaller than twice the usual cutoff."""
    rng = np.random.default_rng(5)
    box = torch.tensor([[4.0, 0.3, 0.0], [1.0, -3.5, 0.2], [0.5, 0.4, 5.0]], dtype=dtype)
    return make_system(torch.as_tensor(rng.uniform(0, 4, (12, 3))[:num_atoms], dtype=dtype), box=box[None])


def box_of(system: System) -> Tensor:
    """The cells of a system that has some."""
    assert system.box is not None
    return system.box


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    """Any rotation, with or without a mirror."""
    return np.linalg.qr(rng.normal(size=(3, 3)))[0]


def random_cell(rng: np.random.Generator, kind: str, upper: float) -> np.ndarray:
    """A cell of the kind, in any rotation and of either hand, not so thin that an atom has a million images."""
    flatness = {"skewed": (0.01, 0.06)}.get(kind, (0.1, 1.0))
    while True:
        edges = rng.uniform(2.0, 6.0, size=3)
        if kind == "long":
            edges[rng.integers(3)] *= 8
        elif kind == "thin":
            edges[rng.integers(3)] = rng.uniform(0.3, 0.9)
        elif kind == "tiny":
            edges = rng.uniform(0.5, 1.2, size=3)
        directions = rng.normal(size=(3, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        cell = edges[:, None] * directions
        is_wanted = flatness[0] < abs(np.linalg.det(directions)) < flatness[1]
        if is_wanted and len(images(cell, np.ones(3, dtype=bool), upper)) < MOST_IMAGES:
            return cell


def random_system(
    seed: int,
    *,
    kind: str,
    upper: float,
    spread: float = 1.0,
    is_partial: bool = False,
    shares_cell: bool = False,
    has_doubles: bool = True,
    dtype: torch.dtype = torch.float64,
) -> System:
    """Some systems of up to 24 atoms, the batch unsorted and with gaps, atoms up to ``spread`` cells from the origin.

    ``kind`` is one of CELLS or "open". With ``has_doubles``, two atoms are at one place, and two whole cells apart.
    """
    rng = np.random.default_rng(seed)
    num = int(rng.integers(1, 5))
    one_or_more = 1 if shares_cell else num
    cells = np.stack([random_cell(rng, "plain" if kind == "open" else kind, upper) for _ in range(one_or_more)])
    cells = np.repeat(cells, num, axis=0) if shares_cell else cells
    pbc = rng.random((num, 3)) < 0.5 if is_partial else np.full((num, 3), kind != "open")
    pos, batch = [np.zeros((0, 3))], [np.zeros(0, dtype=np.int64)]
    for system in range(num):
        per_pair = len(images(cells[system], pbc[system], upper))
        most = int(np.clip(np.sqrt(3e5 / per_pair), 1, 24))
        count = int(rng.choice([0, 1, 2, rng.integers(0, most + 1), most]))
        places = rng.uniform(-spread, spread, size=(count, 3)) @ cells[system]
        if has_doubles and count > 3:
            places[1] = places[0]
            places[2] = places[3] + (rng.integers(-2, 3, size=3) * pbc[system]) @ cells[system]
        pos.append(places)
        batch.append(np.full(count, system))
    order = rng.permutation(sum(map(len, batch)))
    system = make_system(
        torch.as_tensor(np.concatenate(pos)[order], dtype=dtype), torch.as_tensor(np.concatenate(batch)[order]), num=num
    )
    if kind == "open":
        return system
    box = torch.as_tensor(cells[0] if shares_cell else cells, dtype=dtype)
    return system._replace(box=box, pbc=torch.as_tensor(pbc) if is_partial else None)


def dense_system(
    seed: int, num_atoms: int, *, density: float, pbc: tuple[bool, bool, bool], dtype: torch.dtype = torch.float64
) -> System:
    """One triclinic box with many atoms an Å^3, some of them a few cells outside."""
    rng = np.random.default_rng(seed)
    directions = np.eye(3) + rng.uniform(-0.35, 0.35, size=(3, 3))
    cell = directions * rng.uniform(0.7, 1.6, size=(3, 1)) @ random_rotation(rng)
    cell *= (num_atoms / density / abs(np.linalg.det(cell))) ** (1 / 3)
    fractional = rng.random((num_atoms, 3))
    fractional += (rng.random((num_atoms, 1)) < 0.2) * rng.integers(-2, 3, size=(num_atoms, 3)) * np.array(pbc)
    return make_system(
        torch.as_tensor(fractional @ cell, dtype=dtype),
        box=torch.as_tensor(cell, dtype=dtype)[None],
        pbc=torch.tensor([pbc]),
    )
