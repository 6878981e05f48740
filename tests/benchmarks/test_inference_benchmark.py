"""The benchmark of inference runs, its water is water, and its counts of operations are those that PyTorch counts."""

import importlib
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from benchmark_programs import BENCHMARKS, call, cells_of
from torch.utils.flop_counter import FlopCounterMode

from torchmdnet.factory import create_model
from torchmdnet.models import use_radial_tables


@pytest.fixture
def cases(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("inference_cases")


@pytest.fixture
def costs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("inference_cost")


def test_prints_a_row_for_each_case() -> None:
    words = ["--models", "TensorNet", "--systems", "6", "--threads", "1", "--seconds", "0", "--turns", "1"]
    output = call("inference.py", *words).stdout
    title, _, row, _, _, scripted, compared, _, _, cost, _, _, imports = cells_of(output)
    assert row[:3] == ["TensorNet", "1", "6"]
    assert min(float(row[title.index(column)]) for column in ("tables ms", "scripted ms", "exact ms", "tables MB")) > 0
    assert scripted[3] == "tables - scripted"
    assert max(float(value) for value in scripted[4:6]) < 1e-5
    assert compared[3] == "tables - exact"
    assert max(float(value) for value in compared[4:6]) < 1e-4
    assert float(cost[3]) == 6  # droplets this small are within the cutoff, and each atom is its own neighbour
    assert imports[0] == "torchmdnet"


@pytest.mark.parametrize(("name", "num_atoms"), [("24", 24), ("3x6", 18), ("166", 166)])
def test_atoms_are_water(cases: ModuleType, name: str, num_atoms: int) -> None:
    z, pos, batch, box = cases.make_system(name)
    assert len(z) == len(pos) == len(batch) == num_atoms
    assert z[:3].tolist() == [8, 1, 1]
    assert (box is None) is (num_atoms < 100)
    bonds = np.linalg.norm(pos[1::3] - pos[::3][: len(pos[1::3])], axis=1)
    np.testing.assert_allclose(bonds, 0.957, atol=1e-3)


def test_water_has_the_density_of_the_liquid(cases: ModuleType) -> None:
    volume = np.linalg.det(cases.make_system("1029").box)
    assert 343 / volume == pytest.approx(0.0334, rel=1e-4)


def dense_flops(options: dict[str, Any], cases: ModuleType) -> float:
    """What PyTorch counts for one atom, without derivatives, when all tables are in use."""
    model = create_model(options | {"derivative": False}).eval()
    use_radial_tables(model, tolerance=1e-2)
    z, pos, batch, _ = cases.make_system("6")
    with FlopCounterMode(display=False) as counter:
        model(torch.as_tensor(z), torch.as_tensor(pos), torch.as_tensor(batch))
    return counter.get_total_flops() / len(z)


def test_counts_of_dense_layers_are_those_of_pytorch(cases: ModuleType, costs: ModuleType) -> None:
    options = cases.MODELS["TensorNet"] | {"embedding_dimension": 64}
    products = options["num_layers"] * 64 * 3 * 2 * 2 * 27
    # Backward has as many as forward, but for the maps of elements, which have no gradient: 4 C^2.
    expected = 2 * dense_flops(options, cases) - 4 * 64**2
    assert costs.cost(options, 0.0).flops - products == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("name", ["GraphNetwork", "Transformer"])
def test_counts_of_models_of_scalars_are_those_of_pytorch(name: str, cases: ModuleType, costs: ModuleType) -> None:
    options = cases.MODELS[name] | {"embedding_dimension": 64}
    assert costs.cost(options, 0.0).flops == pytest.approx(2 * dense_flops(options, cases), rel=0.02)


def test_cost_grows_with_the_edges(cases: ModuleType, costs: ModuleType) -> None:
    counted = [options for options in cases.MODELS.values() if options["model"] in costs.COUNTS]
    assert {options["model"] for options in counted} == set(costs.COUNTS)
    for options in counted:
        fewer, more = (costs.cost(options, edges) for edges in (20.0, 40.0))
        assert more.flops > fewer.flops
        assert more.gathered == pytest.approx(2 * fewer.gathered)
        assert more.traffic == fewer.traffic
