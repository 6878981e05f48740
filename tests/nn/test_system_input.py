"""Arguments of a call become a checked system."""

from typing import Any

import pytest
import torch
from torch import Tensor

from torchmdnet.graph import System
from torchmdnet.nn.system_input import make_system

Z, POS, BATCH = torch.tensor([1, 6, 8]), torch.zeros(3, 3), torch.tensor([0, 0, 1])


def make(z: Tensor = Z, pos: Tensor = POS, batch: Tensor | None = BATCH, **others: Any) -> System:
    return make_system(z, pos, batch, max_z=10, dtype=torch.float32, **others)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64])
def test_takes_any_integer_type(dtype: torch.dtype) -> None:
    assert make(Z.to(dtype)).z.dtype == torch.int64


def test_one_box_serves_every_system() -> None:
    box = make(box=torch.eye(3)).box
    assert box is not None
    assert torch.equal(box, torch.eye(3).expand(2, 3, 3))


def test_no_batch_means_one_system() -> None:
    assert make(batch=None).num_systems == 1


def test_no_atoms_are_no_systems() -> None:
    nothing = torch.zeros(0, dtype=torch.long)
    assert make(nothing, torch.zeros(0, 3), nothing).num_systems == 0


def test_casts_to_the_type_of_the_model() -> None:
    assert make(pos=POS.double()).pos.dtype == torch.float32


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"z": Z[:2]}, ValueError, r"z must hold an atomic number for each of the 3 atoms in pos; got shape \(2,\)"),
        ({"z": Z.float()}, TypeError, "z must hold integers; got torch.float32"),
        (
            {"z": torch.tensor([1, 6, 10])},
            ValueError,
            "of atom 2 is 10, this model knows 0 to 9: .*max_z",
        ),
        ({"z": torch.tensor([1, -6, 1])}, ValueError, "atomic number of atom 1 is -6"),
        ({"pos": POS.long()}, TypeError, "pos must be floating point; got torch.int64"),
        ({"pos": torch.zeros(9)}, ValueError, r"pos must have shape \(N, 3\); got \(9,\)"),
        ({"batch": BATCH[:2]}, ValueError, r"batch must name the system of each of the 3 atoms; got shape \(2,\)"),
        ({"batch": BATCH.float()}, TypeError, "batch must hold integers"),
        ({"box": torch.zeros(3)}, ValueError, r"box must have shape \(2, 3, 3\), or \(3, 3\) for all 2 systems"),
        ({"q": torch.zeros(3)}, ValueError, r"q must have shape \(2,\), or \(\) for all 2 systems; got \(3,\)"),
        ({"pbc": torch.zeros(2)}, ValueError, r"pbc must have shape \(2, 3\)"),
    ],
)
def test_says_what_is_wrong(arguments: dict[str, Tensor], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(**arguments)
