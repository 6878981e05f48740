from pathlib import Path

import pytest
import torch
from ase import Atoms
from tiny import small_model

from torchmdnet.calculators import External
from torchmdnet.calculators.external import tranforms
from torchmdnet.potential import TorchMD_Net


@pytest.fixture
def replicas(ethanol: Atoms) -> tuple[torch.Tensor, torch.Tensor]:
    """Numbers (3, 9) and positions (3, 9, 3) of three replicas that differ."""
    z = torch.as_tensor(ethanol.numbers).repeat(3, 1)
    noise = torch.randn((3, 9, 3), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return z, torch.as_tensor(ethanol.positions) + 0.05 * noise


def test_replicas_are_independent_systems(model: TorchMD_Net, replicas) -> None:
    z, pos = replicas
    energy, forces = External(model, z).calculate(pos)
    assert energy.shape == (3, 1)
    assert forces.shape == (3, 9, 3)
    for k in range(3):
        y, neg_dy = model(z[k], pos[k])
        torch.testing.assert_close(energy[k : k + 1], y, rtol=0, atol=1e-12)
        torch.testing.assert_close(forces[k], neg_dy, rtol=0, atol=1e-12)


def test_reads_a_checkpoint_in_float32_by_default(checkpoint: Path, model: TorchMD_Net, replicas) -> None:
    z, pos = replicas
    energy, forces = External(str(checkpoint), z, "cpu").calculate(pos.float())
    assert energy.dtype == forces.dtype == torch.float32
    y, _ = model(z[0], pos[0])
    torch.testing.assert_close(energy[:1].double(), y, rtol=1e-5, atol=1e-5)


def test_results_are_detached_and_positions_untouched(model: TorchMD_Net, replicas) -> None:
    z, pos = replicas
    leaf = pos.clone().requires_grad_()
    energy, forces = External(model, z).calculate(leaf)
    assert not energy.requires_grad
    assert not forces.requires_grad
    assert leaf.grad is None
    torch.testing.assert_close(leaf.detach(), pos)


def test_positions_may_be_flat(model: TorchMD_Net, replicas) -> None:
    z, pos = replicas
    external = External(model, z.tolist())
    assert torch.equal(external.calculate(pos)[1], external.calculate(pos.reshape(-1))[1])


def test_each_replica_may_have_its_own_box(model: TorchMD_Net, replicas) -> None:
    z, pos = replicas
    boxes = torch.eye(3, dtype=torch.float64) * torch.tensor([6.0, 7.0, 8.0], dtype=torch.float64)[:, None, None]
    energy, _ = External(model, z).calculate(pos, boxes)
    for k in range(3):
        y, _ = model(z[k], pos[k], box=boxes[k])
        torch.testing.assert_close(energy[k : k + 1], y, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(3, 3), (1, 3, 3)])
def test_one_box_serves_all_replicas(model: TorchMD_Net, replicas, shape: tuple[int, ...]) -> None:
    z, pos = replicas
    box = 6.0 * torch.eye(3, dtype=torch.float64)
    external = External(model, z)
    expected, _ = external.calculate(pos, box.expand(3, 3, 3))
    torch.testing.assert_close(external.calculate(pos, box.reshape(shape))[0], expected)


def test_a_box_of_zeros_means_no_cell(model: TorchMD_Net, replicas) -> None:
    z, pos = replicas
    external = External(model, z)
    torch.testing.assert_close(external.calculate(pos, torch.zeros(3, 3, 3))[0], external.calculate(pos)[0])


@pytest.mark.parametrize(
    ("name", "energy_factor", "force_factor"),
    [
        ("eV/A -> kcal/mol/A", 23.0605, 23.0605),
        ("Hartree/Bohr -> kcal/mol/A", 627.509, 1185.821),
        ("Hartree/A -> kcal/mol/A", 627.509, 627.509),
    ],
)
def test_named_transforms_convert_units(
    model: TorchMD_Net, replicas, name: str, energy_factor: float, force_factor: float
) -> None:
    z, pos = replicas
    energy, forces = External(model, z).calculate(pos)
    new_energy, new_forces = External(model, z, output_transform=name).calculate(pos)
    torch.testing.assert_close(new_energy, energy * energy_factor, rtol=5e-6, atol=0)
    torch.testing.assert_close(new_forces, forces * force_factor, rtol=5e-6, atol=0)


def test_the_table_of_transforms_has_these_names() -> None:
    assert list(tranforms) == ["eV/A -> kcal/mol/A", "Hartree/Bohr -> kcal/mol/A", "Hartree/A -> kcal/mol/A"]


def test_a_callable_transforms_the_output(model: TorchMD_Net, replicas) -> None:
    z, pos = replicas
    energy, forces = External(model, z).calculate(pos)
    new_energy, new_forces = External(model, z, output_transform=lambda e, f: (e + 1, 2 * f)).calculate(pos)
    assert torch.equal(new_energy, energy + 1)
    assert torch.equal(new_forces, 2 * forces)


def test_text_is_not_evaluated(model: TorchMD_Net, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    with pytest.raises(ValueError, match="not evaluated as Python, so pass a callable"):
        External(model, [[1, 1]], output_transform=f"open({str(canary)!r}, 'w')")
    assert not canary.exists()


def test_a_transform_of_another_kind_is_refused(model: TorchMD_Net) -> None:
    with pytest.raises(TypeError, match="output_transform: got 23, expected a name, a callable or None"):
        External(model, [[1, 1]], output_transform=23)


def test_a_cuda_graph_on_a_cpu_is_refused(model: TorchMD_Net) -> None:
    with pytest.raises(ValueError, match="needs a CUDA device, and device is 'cpu': give device='cuda', or leave it"):
        External(model, [[1, 1]], use_cuda_graph=True)


def test_a_cuda_graph_with_a_skin_is_refused(model: TorchMD_Net) -> None:
    with pytest.raises(ValueError, match=r"skin: got 1.0 with use_cuda_graph=True.*leave out one"):
        External(model, [[1, 1]], use_cuda_graph=True, skin=1.0)


@pytest.mark.parametrize("embeddings", [[1, 1], [[]], [[[1]]]])
def test_embeddings_must_be_replicas_by_atoms(model: TorchMD_Net, embeddings: list) -> None:
    with pytest.raises(ValueError, match=r"embeddings: got shape .* expected \(replicas, atoms\)"):
        External(model, embeddings)


def test_embeddings_must_be_integers(model: TorchMD_Net) -> None:
    with pytest.raises(ValueError, match=r"embeddings: got torch.float32, expected integers"):
        External(model, [[1.0, 1.0]])


def test_positions_may_be_an_array(model: TorchMD_Net, replicas) -> None:
    z, pos = replicas
    external = External(model, z.numpy())
    assert torch.equal(external.calculate(pos.numpy())[0], external.calculate(pos)[0])


def test_a_wrong_number_of_positions_is_refused(model: TorchMD_Net) -> None:
    with pytest.raises(ValueError, match=r"pos: got shape \(2, 3\), expected \(2, 2, 3\)"):
        External(model, [[1, 1], [1, 1]]).calculate(torch.zeros(2, 3))


def test_a_wrong_box_is_refused(model: TorchMD_Net) -> None:
    with pytest.raises(ValueError, match=r"box: got shape \(3,\), expected \(3, 3\) or \(1, 3, 3\)"):
        External(model, [[1, 1]]).calculate(torch.rand(1, 2, 3), torch.ones(3))


def test_dtype_converts_a_given_model(replicas) -> None:
    z, pos = replicas
    energy, _ = External(small_model(), z, dtype="float32").calculate(pos)
    assert energy.dtype == torch.float32
