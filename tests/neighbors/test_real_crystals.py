"""Real crystals, many smaller than the cutoff, have the neighbours that explicit sums and vesin find."""

from functools import cache
from pathlib import Path

import ase
import ase.io
import numpy as np
import pytest
import torch
import vesin
from image_sums import assert_same_edges, edges_of
from random_systems import graph_of, make_system

from torchmdnet.graph import System

DATA = {
    "ice_rpbe_d3": "0:240:24",
    "mad_small": "0:700:35",
    "hydrocarbon_crystals_stress": "0:100:15",
    "water_gfn1_triclinic_small": "0:40:8",
}
"""Frames that are looked at."""


@cache
def read_frames(path: Path, frames: str) -> list[ase.Atoms]:
    """Frames of a file, read once."""
    found: list[ase.Atoms] = ase.io.read(path, index=frames)
    return found


def frames_of(test_data: Path, name: str) -> list[ase.Atoms]:
    """Some frames of a data set."""
    return read_frames(test_data / "data" / f"{name}.extxyz", DATA[name])


def system_of(frames: list[ase.Atoms], dtype: torch.dtype) -> System:
    """All frames in one batch."""
    return make_system(
        torch.as_tensor(np.concatenate([frame.positions for frame in frames]), dtype=dtype),
        torch.repeat_interleave(torch.arange(len(frames)), torch.tensor([len(frame) for frame in frames])),
        torch.as_tensor(np.stack([frame.cell.array for frame in frames]), dtype=dtype),
        torch.as_tensor(np.stack([frame.pbc for frame in frames])),
        len(frames),
    )


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", DATA)
def test_finds_what_trying_every_image_finds(test_data: Path, name: str, dtype: torch.dtype) -> None:
    system = system_of(frames_of(test_data, name), dtype)
    tolerance = 1e-9 if dtype == torch.float64 else 1e-4
    assert_same_edges(edges_of(graph_of(system, 5.0)), system, 0.0, 5.0, tolerance=tolerance)


@pytest.mark.parametrize("name", DATA)
def test_finds_as_many_as_vesin_within_eight_angstrom(test_data: Path, name: str) -> None:
    frames = [frame for frame in frames_of(test_data, name) if len(frame) <= 100]
    graph = graph_of(system_of(frames, torch.float64), 8.0)
    distances = np.split(graph.distance.numpy(), graph.row_ptr[np.cumsum([len(frame) for frame in frames])[:-1]])
    search = vesin.NeighborList(cutoff=8.0, full_list=True)
    for frame, distance in zip(frames, distances, strict=True):
        (expected,) = search.compute(points=frame.positions, box=frame.cell.array, periodic=frame.pbc, quantities="d")
        # Crystals have many pairs at one distance: those at the cutoff itself are a matter of rounding.
        found, expected = (np.sort(values[values < 8.0 - 1e-9]) for values in (distance, expected))
        assert len(found) == len(expected) > 0
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_the_frames_hold_cells_thinner_than_the_cutoff(test_data: Path) -> None:
    steepest = [np.linalg.norm(frame.cell.reciprocal(), axis=1).max() for frame in frames_of(test_data, "mad_small")]
    assert 1 / max(steepest) < 5.0
