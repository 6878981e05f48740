"""Whole potentials through ``torch.export`` and AOTInductor, for any number of atoms and systems."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_models import OPTIONS, small_model
from torch import Tensor

from torchmdnet.factory import create_model
from torchmdnet.models import MODELS, use_radial_tables
from torchmdnet.potential import TorchMD_Net, export_potential
from torchmdnet.priors import ZBL, Coulomb

pytestmark = pytest.mark.filterwarnings("ignore:.* ignores the charges q:UserWarning")

SIZES = [(1, 1), (2, 2), (5, 1), (7, 3), (12, 2)]
"""Numbers of atoms and systems."""
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}


def assert_same(program: Callable[..., Any], model: TorchMD_Net, *, periodic: bool) -> None:
    generator = torch.Generator().manual_seed(2)
    dtype = model.mean.dtype

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    for num_atoms, num_systems in SIZES:
        z = torch.randint(1, 10, (num_atoms,), generator=generator)
        batch = torch.randint(0, num_systems, (num_atoms,), generator=generator)
        pos, q = 1.5 * random(num_atoms, 3), random(num_systems)
        box = 5 * torch.eye(3, dtype=dtype) + 0.3 * random(num_systems, 3, 3) if periodic else None
        got = program(z, pos, batch, q, torch.zeros_like(q), *([] if box is None else [box]))
        wanted = model(z, pos, batch, box, q, num_systems=num_systems)
        for value, expected in zip(got, wanted, strict=False):  # an exported value comes without an empty tensor
            torch.testing.assert_close(value, expected, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


@pytest.mark.parametrize("has_tables", [False, True])
@pytest.mark.parametrize("name", sorted(MODELS))
def test_any_molecules_have_the_values_of_the_model(name: str, has_tables: bool) -> None:
    model = small_model(name, num_layers=1, precision=32 if has_tables else 64)
    if has_tables:
        use_radial_tables(model)
    assert_same(export_potential(model).module(), model, periodic=False)


def test_any_cells_have_the_values_of_the_model_and_its_priors() -> None:
    model = create_model({**OPTIONS, "model": "graph-network", "num_layers": 1}, [ZBL(3.0)]).eval()
    assert_same(export_potential(model, periodic=True).module(), model, periodic=True)


def test_a_program_is_written_and_read(tmp_path: Path) -> None:
    model = small_model("graph-network", num_layers=1)
    torch.export.save(export_potential(model), tmp_path / "model.pt2")
    assert_same(torch.export.load(tmp_path / "model.pt2").module(), model, periodic=False)


def test_values_are_exported_without_forces() -> None:
    model = small_model("graph-network", num_layers=1, derivative=False)
    program = export_potential(model, forces=False)
    assert len(program.graph_signature.user_outputs) == 1
    assert_same(program.module(), model, periodic=False)


def test_inputs_have_names() -> None:
    model = create_model({**OPTIONS, "model": "graph-network", "num_layers": 1}, [Coulomb(0.05, 0.2)]).eval()
    program = export_potential(model, periodic=True)
    names = ("z", "pos", "batch", "q", "s", "box", "partial_charges")
    assert program.graph_signature.user_inputs == names


def test_what_priors_read_is_an_input() -> None:
    model = create_model({**OPTIONS, "model": "graph-network", "num_layers": 1}, [Coulomb(0.05, 0.2)]).eval()
    z, pos, charges = (
        torch.tensor([1, 6, 8]),
        torch.eye(3, dtype=torch.float64),
        torch.tensor([0.3, 0.1, -0.4]).double(),
    )
    zero = torch.zeros(1, dtype=torch.float64)
    got = export_potential(model).module()(z, pos, torch.zeros_like(z), zero, zero.clone(), charges)
    for value, expected in zip(got, model(z, pos, extra_args={"partial_charges": charges}), strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-10, atol=1e-10)


# A warning of PyTorch's compiler about its own cache of headers, among others.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("name", "has_tables"), [("graph-network", False), ("tensornet", True)])
def test_a_program_is_compiled_ahead_of_time(name: str, has_tables: bool, tmp_path: Path) -> None:
    model = small_model(name, num_layers=1, embedding_dimension=4, precision=32 if has_tables else 64)
    if has_tables:
        assert use_radial_tables(model) > 0
    path = torch._inductor.aoti_compile_and_package(
        export_potential(model, periodic=has_tables),
        package_path=str(tmp_path / "model.pt2"),
        inductor_configs={"aot_inductor.compile_wrapper_opt_level": "O0"},
    )
    assert_same(torch._inductor.aoti_load_package(path), model, periodic=has_tables)


def test_a_value_without_forces_is_refused() -> None:
    model = small_model("equivariant-transformer", output_model="VectorOutput", derivative=False)
    with pytest.raises(ValueError, match=r"no forces: use export_potential\(\.\.\., forces=False\)"):
        export_potential(model)


def test_cells_are_refused_where_a_head_takes_none() -> None:
    model = small_model("tensornet2", output_model="ScalarPlusWeightedCoulomb")
    with pytest.raises(ValueError, match="sums over all pairs of a molecule"):
        export_potential(model, periodic=True)


def test_the_model_stays_as_it_is() -> None:
    model = small_model("graph-network", num_layers=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export_potential(model)
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not torch.compiler.is_compiling()
