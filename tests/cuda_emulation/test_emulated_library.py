"""The CUDA ops with all that they do on the host: arguments, memory, errors, synchronisation."""

import os
import re
import shlex
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from emulated_ops import SOURCES
from random_systems import box_of, periodic_example, random_system
from torch import Tensor

from torchmdnet.graph import System

NATIVE_DTYPES = [torch.float32, torch.float64]


def schemas(source: Path) -> dict[str, str]:
    """The schema of each op that a table of a C++ source names."""
    entry = re.compile(r'\{"(\w+)",\s*((?:"[^"]*"\s*)+),\s*\w+\}')
    return {name: "".join(re.findall('"([^"]*)"', text)) for name, text in entry.findall(source.read_text())}


def test_every_op_of_the_library_for_cuda_is_emulated_with_the_schema_of_the_cpu() -> None:
    kernels = dict(re.findall(r'\{"(\w+)", (\w+)\}', (SOURCES / "cuda/library.cu").read_text()))
    emulated = schemas(Path(__file__).parent / "emulated_library.cpp")
    assert kernels == {name: f"{name}_cuda" for name in emulated}
    of_cpu = schemas(SOURCES / "library.cpp")
    assert emulated == {name: of_cpu[name] for name in emulated}


def arguments(system: System, *, capacity: int = -1, lower: float = 0.0, upper: float = 2.5) -> list[Any]:
    """Those of neighbor_pairs, of a full list with self pairs."""
    num = system.num_systems
    box = torch.zeros((0, 3, 3), dtype=system.pos.dtype) if system.box is None else system.box
    pbc = torch.zeros((0, 3), dtype=torch.bool) if system.pbc is None else system.pbc
    return [system.pos, system.batch, box, pbc, num, lower, upper, True, False, capacity]


def sorted_rows(pairs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """Keys and vectors in an order of their own, those of padding last."""
    vector, _, receiver, sender, shift = pairs[:5]
    if not len(shift):
        shift = shift.new_zeros((len(receiver), 3))
    key = torch.stack([receiver, sender, *shift.unbind(1)], 1).tolist()
    order = sorted(range(len(key)), key=lambda row: (row >= int(pairs[5][-1]), key[row]))
    return torch.tensor([key[row] for row in order]), vector[order]


@pytest.mark.parametrize("dtype", NATIVE_DTYPES)
@pytest.mark.parametrize("kind", ["open", "plain", "thin"])
@pytest.mark.parametrize("capacity", [-1, 9000])
def test_the_list_is_that_of_the_cpu(ops: Any, dtype: torch.dtype, kind: str, capacity: int) -> None:
    given = arguments(random_system(7, kind=kind, upper=2.5, dtype=dtype), capacity=capacity)
    ours, theirs = ops.neighbor_pairs(*given), torch.ops.torchmdnet.neighbor_pairs(*given)
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
    for one, other in zip(sorted_rows(ours), sorted_rows(theirs), strict=True):
        torch.testing.assert_close(one, other)
    assert torch.equal(ours[5], theirs[5])
    assert torch.equal(ours[6], theirs[6])


def test_waits_once_for_the_number_of_pairs(kernels: ModuleType, ops: Any) -> None:
    ops.neighbor_pairs(*arguments(periodic_example()))
    assert kernels.count_waits() == 1


def test_waits_for_nothing_with_a_capacity(kernels: ModuleType, ops: Any) -> None:
    pairs = ops.neighbor_pairs(*arguments(periodic_example(), capacity=500))
    receiver, sender, shift, row_ptr = pairs[2:6]
    system = periodic_example()
    ops.pair_vectors(system.pos, box_of(system), system.batch, receiver, sender, shift, row_ptr)
    ops.pair_vectors_transpose(pairs[0], system.batch, sender, shift, row_ptr, 1, True)
    ops.distinct_pairs(sender, shift, row_ptr, True, True)
    assert kernels.count_waits() == 0


def test_a_graph_cannot_be_captured_without_a_capacity(kernels: ModuleType, ops: Any) -> None:
    kernels.set_captures(True)
    with pytest.raises(RuntimeError, match="not known while a CUDA graph is captured: give a capacity"):
        ops.neighbor_pairs(*arguments(periodic_example()))
    ops.neighbor_pairs(*arguments(periodic_example(), capacity=500))


def test_too_small_a_capacity_is_told_by_the_status(ops: Any) -> None:
    pairs = ops.neighbor_pairs(*arguments(periodic_example(), capacity=20))
    num = len(ops.neighbor_pairs(*arguments(periodic_example()))[1])
    assert pairs[6].tolist() == [num, 64]
    assert pairs[1].isnan().all()


FAULTY: dict[str, tuple[int, Any, str]] = {
    "nan": (0, lambda pos: pos * float("nan"), "a position is NaN or infinite"),
    "batch": (1, lambda batch: batch + 1, "batch holds a system number that is negative or not below num_systems"),
    "box": (2, lambda box: box * torch.tensor([[1.0], [0.0], [1.0]]), "a box is singular on its periodic axes"),
    "no box": (3, lambda _: torch.tensor([[True, False, False]]), "periodic says that an axis repeats, but the box"),
}


@pytest.mark.parametrize("fault", FAULTY)
def test_faults_are_raised_where_the_host_waits_anyway(ops: Any, fault: str) -> None:
    given = arguments(periodic_example())
    place, spoil, message = FAULTY[fault]
    given[place] = spoil(given[place])
    if fault == "no box":
        given[2] = torch.zeros_like(given[2])
    with pytest.raises(RuntimeError, match=message):
        ops.neighbor_pairs(*given)


WRONG: dict[str, tuple[int, Any, str]] = {
    "shape": (0, torch.zeros((12, 2)), r"positions must be contiguous, of shape \(N, 3\)"),
    "type": (0, torch.zeros((12, 3), dtype=torch.float16), "positions must be float32 or float64"),
    "batch": (1, torch.zeros(11, dtype=torch.int64), r"batch must be int64, contiguous, of shape \(N,\)"),
    "box": (2, torch.zeros((2, 3, 3), dtype=torch.float64), "box must be of the positions' dtype"),
    "cutoff": (6, -1.0, "want finite cutoffs, 0 <= cutoff_lower < cutoff_upper"),
    "capacity": (9, 2**31, "a capacity of more than 2147483647 pairs"),
}


@pytest.mark.parametrize("argument", WRONG)
def test_refuses_wrong_arguments(ops: Any, argument: str) -> None:
    given = arguments(periodic_example())
    place, value, message = WRONG[argument]
    given[place] = value
    with pytest.raises(RuntimeError, match=message):
        ops.neighbor_pairs(*given)


@pytest.mark.parametrize("dtype", NATIVE_DTYPES)
@pytest.mark.parametrize("kind", ["open", "plain"])
def test_vectors_and_sums_are_those_of_the_cpu(ops: Any, dtype: torch.dtype, kind: str) -> None:
    system = random_system(7, kind=kind, upper=2.5, dtype=dtype)
    given = arguments(system, capacity=4000)
    vector, _, receiver, sender, shift, row_ptr, _ = ops.neighbor_pairs(*given)
    grad = torch.randn(vector.shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
    with_box = system.box is not None
    calls = {
        "pair_vectors": (system.pos, given[2], system.batch, receiver, sender, shift, row_ptr),
        "pair_vectors_transpose": (grad, system.batch, sender, shift, row_ptr, system.num_systems, with_box),
        "distinct_pairs": (sender, shift, row_ptr, True, True),
    }
    for name, call in calls.items():
        ours, theirs = getattr(ops, name)(*call), getattr(torch.ops.torchmdnet, name)(*call)
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-4 if dtype == torch.float32 else 1e-11)


def test_refuses_arrays_of_different_lists(ops: Any) -> None:
    pairs = ops.neighbor_pairs(*arguments(periodic_example()))
    sender, shift, row_ptr = pairs[3:6]
    with pytest.raises(RuntimeError, match="are not of one list"):
        ops.distinct_pairs(sender[:-1].contiguous(), shift, row_ptr, True, False)
    with pytest.raises(RuntimeError, match="must be contiguous int32 vectors"):
        ops.distinct_pairs(sender.long(), shift, row_ptr, True, False)
    with pytest.raises(RuntimeError, match="no gradient of a box without shifts"):
        ops.pair_vectors_transpose(pairs[0], periodic_example().batch, sender, shift[:0], row_ptr, 1, True)


def test_declarations_for_cuda_agree_with_torchs_own(tmp_path: Path) -> None:
    include = Path(torch.__file__).parent / "include"
    headers = ["torch/csrc/inductor/aoti_torch/c/shim.h", "torch/csrc/stable/c/shim.h"]
    if not all((include / header).is_file() for header in headers):
        pytest.skip("this torch was installed without its headers")
    source = tmp_path / "both.cpp"
    own = '#include "cuda/torch_cuda.h"\n'
    source.write_text("#define USE_CUDA\n" + "".join(f"#include <{header}>\n" for header in headers) + own)
    compiler = shlex.split(os.environ.get("CXX", "c++"))
    subprocess.run([*compiler, "-std=c++20", "-fsyntax-only", f"-I{include}", f"-I{SOURCES}", str(source)], check=True)
