"""``torch.jit.script`` of whole potentials: the numbers of the model, for other atoms than those it was traced with."""

import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from small_models import OPTIONS, small_model
from torch import Tensor, nn

from torchmdnet.factory import create_model
from torchmdnet.models import MODELS, use_radial_tables
from torchmdnet.neighbors import use_static_shapes
from torchmdnet.outputs import OUTPUTS
from torchmdnet.potential import TorchMD_Net
from torchmdnet.priors import D2, ZBL, Atomref, BasePrior, Coulomb, LearnableAtomref

pytestmark = [
    # PyTorch's own notice on scripting, reading and writing TorchScript.
    pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.* ignores the charges q:UserWarning"),
]

SIZES = [(0, 1), (1, 1), (1, 2), (2, 1), (5, 1), (7, 3), (12, 3)]
"""Numbers of atoms and systems; systems may be empty."""

TOLERANCE = 1e-12
"""The operations are those of the model, some sums are taken in another order."""


class Call(NamedTuple):
    """Arguments of a call."""

    z: Tensor
    pos: Tensor
    batch: Tensor
    box: Tensor | None
    q: Tensor
    extra_args: dict[str, Tensor]
    num_systems: int


def calls(*, periodic: bool, spread: float = 1.5, dtype: torch.dtype = torch.float64) -> list[Call]:
    generator = torch.Generator().manual_seed(2)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    found = []
    for num_atoms, num_systems in SIZES:
        box = 5 * torch.eye(3, dtype=dtype) + 0.3 * random(num_systems, 3, 3)
        found.append(
            Call(
                z=torch.randint(1, 10, (num_atoms,), generator=generator),
                pos=spread * random(num_atoms, 3),
                batch=torch.randint(0, num_systems, (num_atoms,), generator=generator),
                box=box if periodic else None,
                q=random(num_systems),
                extra_args={"partial_charges": random(num_atoms)},
                num_systems=num_systems,
            )
        )
    return found


def results(model: Any, call: Call, *, differentiate: bool) -> list[Tensor]:
    """Values and forces, or values and the gradients of a weighted sum of them."""
    pos = call.pos.clone().requires_grad_(differentiate)
    box = None if call.box is None else call.box.clone().requires_grad_(differentiate)
    y, forces = model(call.z, pos, call.batch, box, call.q, extra_args=call.extra_args, num_systems=call.num_systems)
    if not differentiate:
        return [y, forces]
    weights = torch.arange(1.0, call.num_systems + 1, dtype=y.dtype).unsqueeze(1)
    wanted = [pos] if box is None else [pos, box]
    return [y.detach(), forces, *torch.autograd.grad((weights * y).sum(), wanted, materialize_grads=True)]


def assert_same(script: Any, model: TorchMD_Net, *, periodic: bool, tolerance: float = TOLERANCE) -> None:
    for call in calls(periodic=periodic, dtype=model.mean.dtype):
        differentiate = not model.derivative and model.output_model.is_differentiable
        for got, wanted in zip(
            results(script, call, differentiate=differentiate),
            results(model, call, differentiate=differentiate),
            strict=True,
        ):
            torch.testing.assert_close(got, wanted, rtol=tolerance, atol=tolerance)
            assert got.requires_grad == wanted.requires_grad or not model.derivative


def with_prior(prior: BasePrior, **changes: Any) -> TorchMD_Net:
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.normal_()
    return create_model({**OPTIONS, "model": "graph-network", **changes}, [prior]).eval()


@pytest.mark.parametrize("derivative", [True, False])
@pytest.mark.parametrize("name", sorted(MODELS))
def test_any_molecules_and_cells_have_the_values_of_the_model(name: str, derivative: bool) -> None:
    model = small_model(name, derivative=derivative)
    script = torch.jit.script(model)
    assert_same(script, model, periodic=False)
    assert_same(script, model, periodic=True)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_tables_are_scripted_in_float32(name: str) -> None:
    model = small_model(name, precision=32)
    use_radial_tables(model)
    assert_same(torch.jit.script(model), model, periodic=True, tolerance=1e-5)


@pytest.mark.parametrize(
    "prior",
    [Atomref(10), LearnableAtomref(10), ZBL(3.0), D2(6.0), Coulomb(0.05, 0.2)],
    ids=lambda prior: type(prior).__name__,
)
@pytest.mark.parametrize("derivative", [True, False])
def test_priors_are_part_of_the_script(prior: BasePrior, derivative: bool) -> None:
    model = with_prior(prior, derivative=derivative)
    script = torch.jit.script(model)
    assert_same(script, model, periodic=False)
    assert_same(script, model, periodic=True)


@pytest.mark.parametrize("head", sorted(OUTPUTS.keys() - {"ScalarPlusWeightedCoulomb"}))
def test_every_head_is_scripted(head: str) -> None:
    model = small_model("equivariant-transformer", output_model=head, derivative=False, num_layers=1)
    assert_same(torch.jit.script(model), model, periodic=False)


@pytest.mark.parametrize("coulomb_cutoff", [None, 5.0])
def test_charges_of_a_head_are_scripted(coulomb_cutoff: float | None) -> None:
    model = small_model("tensornet2", output_model="ScalarPlusWeightedCoulomb", coulomb_cutoff=coulomb_cutoff)
    script = torch.jit.script(model)
    assert_same(script, model, periodic=False)
    if coulomb_cutoff is None:
        with pytest.raises(torch.jit.Error, match="call it without a box"):
            results(script, calls(periodic=True)[-1], differentiate=False)
    else:
        assert_same(script, model, periodic=True)


class ForceModule(nn.Module):
    """What users of OpenMM-Torch write around a model."""

    def __init__(self, model: nn.Module, z: Tensor) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("z", z)

    def forward(self, pos: Tensor, box: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Positions and box in nm."""
        if box is not None:
            box = box * 10
        y, forces = self.model(self.z, pos * 10, None, box)
        return y * 96.5, forces * 965.0


@pytest.fixture
def call() -> Call:
    return calls(periodic=True)[4]


def test_a_model_is_scripted_inside_a_module(call: Call) -> None:
    model = small_model("graph-network")
    y, forces = torch.jit.script(ForceModule(model, call.z))(call.pos / 10)
    wanted, wanted_forces = model(call.z, call.pos)
    torch.testing.assert_close(y, wanted * 96.5)
    torch.testing.assert_close(forces, wanted_forces * 965.0)


def test_energies_in_a_module_have_a_gradient_by_its_own_positions(call: Call) -> None:
    """OpenMM-Torch hands over float32 and calls backward() on the energy."""
    model = small_model("graph-network", derivative=False)
    pos = (call.pos / 10).float().requires_grad_()
    y, _ = torch.jit.script(ForceModule(model, call.z))(pos)
    y.sum().backward()
    exact = pos.detach().double().requires_grad_()
    (wanted,) = torch.autograd.grad(96.5 * model(call.z, 10 * exact)[0].sum(), exact)
    assert pos.grad is not None
    torch.testing.assert_close(pos.grad, wanted.float(), rtol=1e-5, atol=1e-5)


def test_arguments_may_be_left_out(call: Call) -> None:
    model = small_model("tensornet")
    script = torch.jit.script(model)
    for arguments in (
        (call.z, call.pos),
        (call.z.int(), call.pos.float(), torch.zeros_like(call.z, dtype=torch.int32)),
    ):
        for got, wanted in zip(script(*arguments), model(*arguments), strict=True):
            torch.testing.assert_close(got, wanted, rtol=TOLERANCE, atol=TOLERANCE)


def test_arrays_need_not_be_contiguous() -> None:
    call = calls(periodic=True)[-1]
    model = small_model("graph-network")
    assert call.box is not None
    mirrored = [value.mT.contiguous().mT for value in (call.pos, call.box)]
    assert not any(value.is_contiguous() for value in mirrored)
    arguments = (call.z, mirrored[0], call.batch, mirrored[1])
    for got, wanted in zip(torch.jit.script(model)(*arguments), model(*arguments), strict=True):
        torch.testing.assert_close(got, wanted, rtol=TOLERANCE, atol=TOLERANCE)


def test_one_box_and_one_charge_are_for_all_systems() -> None:
    call = calls(periodic=True)[-1]
    model = small_model("tensornet")
    assert call.box is not None
    arguments = (call.z, call.pos, call.batch, call.box[0], call.q[0])
    for got, wanted in zip(torch.jit.script(model)(*arguments), model(*arguments), strict=True):
        torch.testing.assert_close(got, wanted, rtol=TOLERANCE, atol=TOLERANCE)


def test_a_default_box_is_used(call: Call) -> None:
    assert call.box is not None
    model = small_model("graph-network", box_vecs=call.box[0].tolist())
    got, wanted = torch.jit.script(model)(call.z, call.pos)[1], model(call.z, call.pos, box=call.box[0])[1]
    torch.testing.assert_close(got, wanted, rtol=TOLERANCE, atol=TOLERANCE)


def test_a_script_is_read_by_a_process_that_only_imports_the_package(call: Call, tmp_path: Path) -> None:
    model = small_model("tensornet")
    torch.jit.script(model).save(tmp_path / "model.pt")
    torch.save((call.z, call.pos), tmp_path / "input.pt")
    program = (
        "import sys, torch, torchmdnet; folder = sys.argv[1]; "
        "module = torch.jit.load(folder + '/model.pt'); "
        "torch.save(module(*torch.load(folder + '/input.pt')), folder + '/output.pt')"
    )
    # Elsewhere than among the sources, which may lie there without the native ops.
    subprocess.run([sys.executable, "-W", "ignore", "-c", program, str(tmp_path)], check=True, cwd=tmp_path)
    for got, wanted in zip(torch.load(tmp_path / "output.pt"), model(call.z, call.pos), strict=True):
        torch.testing.assert_close(got, wanted, rtol=TOLERANCE, atol=TOLERANCE)


def test_the_model_stays_as_it_is(call: Call) -> None:
    model = small_model("graph-network").train()
    use_static_shapes(model)
    torch.jit.script(model)
    assert model.training
    assert model.representation_model.distance.static_shapes
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not torch.compiler.is_compiling()


def test_weights_are_those_at_the_time_of_scripting(call: Call) -> None:
    model = small_model("graph-network")
    before = model(call.z, call.pos)[0]
    script = torch.jit.script(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2.0)
    torch.testing.assert_close(script(call.z, call.pos)[0], before)


@pytest.fixture(scope="module")
def script() -> torch.jit.ScriptModule:
    return torch.jit.script(with_prior(Coulomb(0.05, 0.2)))


GOOD: dict[str, Any] = {
    "z": torch.tensor([1, 6]),
    "pos": torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 1.1]], dtype=torch.float64),
    "extra_args": {"partial_charges": torch.tensor([0.1, -0.1])},
}


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"pos": torch.zeros(2, 2)}, r"pos must be floating point of shape \(N, 3\); got shape \[2, 2\]"),
        ({"pos": torch.zeros(2, 3, dtype=torch.int64)}, "pos must be floating point"),
        ({"pos": torch.full((2, 3), float("nan"))}, "NaN"),
        ({"z": torch.tensor([1])}, r"z must hold an integer for each of 2 atoms; got shape \[1\]"),
        ({"z": torch.tensor([1.0, 6.0])}, "z must hold an integer"),
        ({"z": torch.tensor([1, 10])}, "atomic numbers are 1 to 10, this model knows 0 to 9"),
        ({"z": torch.tensor([-1, 6])}, "atomic numbers are -1 to 6, this model knows 0 to 9"),
        ({"batch": torch.tensor([0])}, "batch must hold an integer for each of 2 atoms"),
        ({"batch": torch.tensor([0, 2]), "num_systems": 2}, "batch holds a system number"),
        ({"box": torch.eye(2)}, r"box must have shape \[1, 3, 3\], or \[3, 3\] for all systems; got \[2, 2\]"),
        ({"box": torch.ones(3, 3)}, "singular"),
        ({"q": torch.zeros(3)}, r"q must have shape \[1\], or \[\] for all systems; got \[3\]"),
        ({"extra_args": None}, "a prior needs partial_charges: pass extra_args"),
        ({"extra_args": {"partial_charges": torch.zeros(3)}}, "partial_charges: got 3 numbers for 2 atoms"),
    ],
)
def test_wrong_input_is_an_error(script: torch.jit.ScriptModule, wrong: dict[str, Any], text: str) -> None:
    script(**GOOD)
    with pytest.raises((torch.jit.Error, RuntimeError), match=text):
        script(**{**GOOD, **wrong})


def test_a_value_without_forces_has_no_scripted_gradient(call: Call) -> None:
    script = torch.jit.script(
        small_model("equivariant-transformer", output_model="VectorOutput", derivative=False, num_layers=1)
    )
    with pytest.raises(torch.jit.Error, match="no scripted gradient"):
        script(call.z, call.pos.clone().requires_grad_())


class ReadsANumber(BasePrior):
    def post_reduce(self, y: Tensor, z: Tensor, pos: Tensor, *others: Any, **more: Any) -> Tensor:
        return y + float(pos.sum())


class CountsAtoms(BasePrior):
    def post_reduce(self, y: Tensor, z: Tensor, *others: Any, **more: Any) -> Tensor:
        return y + 1 if len(z) > 100 else y


@pytest.mark.parametrize(
    ("prior", "text"),
    [(ReadsANumber(), "reads a number of a tensor.*test_scripting.py"), (CountsAtoms(), "numbers of atoms or systems")],
)
def test_a_part_that_cannot_be_traced_is_named(prior: BasePrior, text: str) -> None:
    with pytest.raises(RuntimeError, match=text):
        torch.jit.script(with_prior(prior))
