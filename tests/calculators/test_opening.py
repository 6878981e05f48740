from pathlib import Path

import pytest
import torch
from tiny import small_model, small_options, write_checkpoint

from torchmdnet.calculators import External, TMDNETCalculator
from torchmdnet.calculators.opening import open_model, parse_device, parse_dtype
from torchmdnet.factory import create_model
from torchmdnet.potential import Ensemble, TorchMD_Net


@pytest.mark.parametrize("as_type", [str, Path])
def test_opens_a_checkpoint_by_text_and_by_path(checkpoint: Path, as_type: type) -> None:
    assert isinstance(open_model(as_type(checkpoint), device="cpu", dtype=None), TorchMD_Net)


def test_opens_a_list_as_an_ensemble(checkpoint: Path) -> None:
    assert isinstance(open_model([checkpoint, checkpoint], device="cpu", dtype=None), Ensemble)


@pytest.mark.parametrize(("dtype", "expected"), [(None, torch.float32), (torch.float64, torch.float64)])
def test_files_open_in_the_dtype_asked_for_or_float32(checkpoint: Path, dtype: torch.dtype, expected) -> None:
    opened = open_model(checkpoint, device="cpu", dtype=dtype)
    assert {tensor.dtype for tensor in opened.state_dict().values() if tensor.is_floating_point()} == {expected}


def test_a_float64_checkpoint_keeps_its_digits(checkpoint: Path, model: TorchMD_Net) -> None:
    opened = open_model(checkpoint, device="cpu", dtype="float64")
    for key, value in model.state_dict().items():
        assert torch.equal(opened.state_dict()[key], value), key


def test_a_given_model_keeps_its_dtype_and_is_copied() -> None:
    mine = small_model().train()
    opened = open_model(mine, device="cpu", dtype=None)
    assert opened.mean.dtype == torch.float64
    assert not opened.training
    assert not any(parameter.requires_grad for parameter in opened.parameters())
    assert mine.training
    assert all(parameter.requires_grad for parameter in mine.parameters())


def test_options_replace_those_in_the_file(tmp_path: Path) -> None:
    path = write_checkpoint(tmp_path / "m.ckpt", small_model(), small_options())
    opened = open_model(path, device="cpu", dtype=None, derivative=False)
    assert opened.derivative is False


def test_options_for_a_built_model_are_refused(model: TorchMD_Net) -> None:
    with pytest.raises(ValueError, match="'derivative' applies to checkpoints"):
        open_model(model, device="cpu", dtype=None, derivative=True)


def test_a_cap_on_neighbours_is_accepted_and_has_no_effect(model: TorchMD_Net) -> None:
    capped = open_model(model, device="cpu", dtype=None, max_num_neighbors=1)
    z, pos = torch.tensor([6, 1, 1, 1]), torch.eye(4, 3, dtype=torch.float64)
    plain = open_model(model, device="cpu", dtype=None)
    assert torch.equal(capped.compute(z, pos).energy, plain.compute(z, pos).energy)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.ckpt"):
        open_model(tmp_path / "nothing.ckpt", device="cpu", dtype=None)


@pytest.mark.parametrize("source", [3, torch.nn.Linear(1, 1), None])
def test_what_is_no_model_is_refused(source: object) -> None:
    with pytest.raises(TypeError, match="expected a checkpoint, a list of checkpoints"):
        open_model(source, device="cpu", dtype=None)


@pytest.mark.parametrize("dtype", [torch.float16, "half", "double precision", 32])
def test_other_dtypes_are_refused(dtype: object) -> None:
    with pytest.raises(ValueError, match=r"expected torch\.float32 or torch\.float64"):
        parse_dtype(dtype)


def test_a_device_of_no_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="device: got 'gpu', expected a device such as 'cpu'"):
        parse_device("gpu")


def test_a_device_that_is_not_here_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got 'cuda:99', but PyTorch finds \d+ CUDA devices here"):
        parse_device("cuda:99")


def num_tables(model: torch.nn.Module) -> int:
    return sum(getattr(module, "table", None) is not None for module in model.modules())


@pytest.mark.parametrize(
    ("dtype", "wanted", "expected"),
    [("float32", None, 2), ("float64", None, 0), ("float32", False, 0), ("float64", True, 2), ("float64", 1e-4, 2)],
)
def test_tables_take_the_place_of_radial_networks_in_float32_or_where_wanted(
    checkpoint: Path, dtype: str, wanted: bool | float | None, expected: int
) -> None:
    assert num_tables(open_model(checkpoint, device="cpu", dtype=dtype, radial_tables=wanted)) == expected


def test_a_tolerance_that_no_table_keeps_is_told(checkpoint: Path) -> None:
    with pytest.raises(ValueError, match=r"radial tables with 2048 intervals have an error of .*, more than"):
        open_model(checkpoint, device="cpu", dtype="float64", radial_tables=1e-15)


def test_a_skin_leaves_energies_and_forces_as_they_are(checkpoint: Path) -> None:
    torch.manual_seed(0)
    pos = 6 * torch.rand(12, 3, dtype=torch.float64)
    plain, with_skin = (
        External(checkpoint, [[1, 6, 8] * 4], dtype="float64", skin=skin, box_vecs=(7 * torch.eye(3)).tolist())
        for skin in (0.0, 0.7)
    )
    for _ in range(4):
        for one, other in zip(plain.calculate(pos), with_skin.calculate(pos), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
        pos = pos + 0.2 * torch.rand_like(pos)


@pytest.mark.parametrize("skin", [-1.0, float("nan"), float("inf")])
def test_a_skin_that_is_no_length_is_refused(checkpoint: Path, skin: float) -> None:
    with pytest.raises(ValueError, match=r"skin: got .*, expected a length"):
        open_model(checkpoint, device="cpu", dtype=None, skin=skin)


def test_a_skin_for_compiled_code_is_refused(checkpoint: Path) -> None:
    with pytest.raises(ValueError, match=r"skin: got 0\.5 with compile=True"):
        TMDNETCalculator(checkpoint, compile=True, skin=0.5)


def test_a_model_that_no_table_fits_is_served_without(tmp_path: Path) -> None:
    options = small_options(cutoff_lower=3.99, precision=32)
    path = write_checkpoint(tmp_path / "m.ckpt", create_model(options), options)
    assert num_tables(open_model(path, device="cpu", dtype=None)) == 0
