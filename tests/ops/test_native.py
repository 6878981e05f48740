"""How the native libraries are found, switched off and demanded, and how an op runs where it was not built."""

import itertools
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from torchmdnet.ops import native
from torchmdnet.ops.native import _load, _load_cuda

NUMBERS = itertools.count()


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """What a build wrote that found no compiler."""
    path = tmp_path / "libtorchmdnet.json"
    path.write_text(json.dumps({"CPU": {"reason": "no c++"}, "CUDA": {"reason": "no nvcc"}}))
    return path


def test_does_without_a_library_that_was_not_built(tmp_path: Path, record: Path) -> None:
    assert _load("auto", tmp_path / "missing.so", "CPU", record) == (False, "not built: no c++")
    assert _load("auto", tmp_path / "missing.so", "CUDA", record) == (False, "not built: no nvcc")
    available, status = _load("auto", tmp_path / "missing.so", "CPU", tmp_path / "missing.json")
    assert (available, status) == (False, "not built: the package was not installed by its setup.py")


def test_is_switched_off_by_an_environment_variable() -> None:
    assert _load("0", native.LIBRARY) == (False, "switched off by TORCHMD_NATIVE=0")


def test_fails_where_the_library_is_demanded_and_missing(tmp_path: Path, record: Path) -> None:
    with pytest.raises(
        ImportError, match=r"TORCHMD_NATIVE=require, but missing\.so was not built: no c\+\+; install the package"
    ):
        _load("require", tmp_path / "missing.so", "CPU", record)


@pytest.mark.parametrize("device", ["CPU", "CUDA"])
def test_warns_of_a_library_that_cannot_be_loaded(tmp_path: Path, device: str) -> None:
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"no library")
    text = f"the native ops for {device} cannot be loaded and PyTorch's own take their place"
    with pytest.warns(RuntimeWarning, match=text):
        available, status = _load("auto", broken, device)
    assert not available
    assert status.startswith("cannot be loaded")
    with pytest.raises(ImportError, match=r"broken\.so cannot be loaded"):
        _load("require", broken, device)


def test_names_the_choices_of_a_wrong_mode() -> None:
    with pytest.raises(ValueError, match="TORCHMD_NATIVE=yes is not known; choose one of auto, 0, require"):
        _load("yes", native.LIBRARY)


def test_the_library_for_cuda_is_touched_only_by_a_torch_for_cuda(tmp_path: Path) -> None:
    broken = tmp_path / "broken.so"
    broken.write_bytes(b"no library")
    available, status = _load_cuda("require", broken, has_cpu=True, cuda=None)
    assert (available, status) == (False, f"not loaded: torch {torch.__version__} is not for CUDA")
    with pytest.warns(RuntimeWarning, match="the native ops for CUDA cannot be loaded"):
        assert not _load_cuda("auto", broken, has_cpu=True, cuda="13.0")[0]


def test_the_library_for_cuda_is_not_loaded_without_that_for_the_cpu(tmp_path: Path) -> None:
    (tmp_path / "some.so").touch()
    available, status = _load_cuda("auto", tmp_path / "some.so", has_cpu=False, cuda="13.0")
    assert not available
    assert status.startswith("not loaded: it adds to the library for the CPU")


def test_a_missing_library_for_cuda_is_no_error_where_that_for_the_cpu_is_demanded(
    tmp_path: Path, record: Path
) -> None:
    found = _load_cuda("require", tmp_path / "missing.so", has_cpu=True, cuda="13.0", record=record)
    assert found == (False, "not built: no nvcc")


def test_takes_tensors_of_one_type_only() -> None:
    single, double = torch.zeros(1), torch.zeros(1, dtype=torch.float64)
    assert native.has_kernel("tensor_mix", single, single) == native.AVAILABLE
    assert not native.has_kernel("tensor_mix", single, double)
    assert not native.has_kernel("tensor_mix", single.long())


@pytest.mark.skipif(not native.AVAILABLE, reason=f"native ops: {native.STATUS}")
def test_tells_for_which_tensors_an_op_has_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    single, double = torch.zeros(1), torch.zeros(1, dtype=torch.float64)
    assert native.has_kernel("tensor_normalize", single)
    assert not native.has_kernel("tensor_product", single, double)
    assert not native.has_kernel("tensor_product", single, single.to("meta"))
    assert not native.has_kernel("tensor_product", single.long(), single.long())
    assert not native.has_kernel("tensor_product", single.to("meta"), single.to("meta"))
    monkeypatch.setitem(native._KERNELS, "tensor_normalize", frozenset({"cuda"}))
    assert not native.has_kernel("tensor_normalize", single)


@pytest.mark.skipif(not native.AVAILABLE, reason=f"native ops: {native.STATUS}")
def test_tells_the_instruction_sets() -> None:
    built, used = native.instruction_sets()
    assert used in built


# The missing library is told once


@pytest.fixture
def unbuilt(monkeypatch: pytest.MonkeyPatch) -> None:
    """No library, of which nothing has been said yet."""
    monkeypatch.setattr(native, "AVAILABLE", False)
    monkeypatch.setattr(native, "_UNSAID", {"cpu": "not built: no c++", "cuda": "not built: no nvcc"})


@pytest.mark.usefixtures("unbuilt")
def test_says_once_that_the_ops_are_missing(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        assert not native.has_kernel("tensor_mix", torch.zeros(1))
    (said,) = caplog.records
    assert said.levelno == logging.WARNING
    assert "native ops for cpu are missing" in said.getMessage()
    assert "(not built: no c++)" in said.getMessage()


@pytest.mark.usefixtures("unbuilt")
def test_an_op_without_a_library_has_no_kernel(caplog: pytest.LogCaptureFixture) -> None:
    assert not native.has_kernel("tensor_product", torch.zeros(1))
    (said,) = caplog.records
    assert "native ops for cpu are missing" in said.getMessage()


@pytest.mark.usefixtures("unbuilt")
def test_a_compiled_function_is_not_cut_by_what_is_said() -> None:
    def double(x: Tensor) -> Tensor:
        return x if native.has_kernel("tensor_mix", x) else 2 * x

    torch._dynamo.reset()
    compiled = torch.compile(double, fullgraph=True, backend="eager")
    assert compiled(torch.ones(1)) == 2


def test_who_switched_the_ops_off_is_not_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(native, "_UNSAID", {"cpu": "switched off by TORCHMD_NATIVE=0"})
    native._say_once("cpu")
    assert caplog.records == []


# An op under one name


def make_op(schema: str = "(Tensor x, float factor) -> Tensor") -> Callable[[Tensor, float], Tensor]:
    """Define y = factor x^2, under a name of its own, in Python."""
    name = f"toy_{next(NUMBERS)}"

    def reference(x: Tensor, factor: float) -> Tensor:
        return factor * x.square()

    def keep(ctx: torch.autograd.function.FunctionCtx, inputs: tuple[Tensor, float], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])
        ctx.factor = inputs[1]  # type: ignore[attr-defined]

    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return 2 * ctx.factor * x * grad, None  # type: ignore[attr-defined]

    native.define(name, schema, reference=reference, fake=native.like(), backward=backward, setup_context=keep)
    op: Callable[[Tensor, float], Tensor] = getattr(torch.ops.torchmdnet, name).default
    return op


def test_an_op_that_no_library_has_runs_its_reference_on_every_device() -> None:
    op = make_op()
    assert torch.equal(op(torch.tensor([3.0]), 2.0), torch.tensor([18.0]))
    name = str(op).removesuffix(".default").replace(".", "::")
    assert all(torch._C._dispatch_has_kernel_for_dispatch_key(name, key) for key in ("CPU", "CUDA"))


def test_an_op_that_no_library_has_is_a_whole_op() -> None:
    op = make_op()
    x = torch.rand(3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    torch.library.opcheck(op, (x, 2.0))
    assert torch.autograd.gradcheck(op, (x, 2.0))


@pytest.mark.usefixtures("unbuilt")
def test_an_op_says_once_that_its_kernel_is_missing(caplog: pytest.LogCaptureFixture) -> None:
    op = make_op()
    for _ in range(2):
        op(torch.ones(1), 1.0)
    assert [said.getMessage().partition(" are")[0] for said in caplog.records] == ["the native ops for cpu"]


@pytest.mark.gpu
def test_an_op_that_no_library_has_runs_on_a_gpu() -> None:
    assert make_op()(torch.tensor([3.0], device="cuda"), 2.0).item() == 18.0


@pytest.mark.skipif(not native.AVAILABLE, reason=f"native ops: {native.STATUS}")
def test_an_op_of_another_version_of_the_library_is_found_out() -> None:
    with pytest.raises(ImportError, match=r"libtorchmdnet\.so is of another version of the package: it defines"):
        native.define(
            "tensor_normalize",
            "(Tensor x, float y) -> Tensor",
            reference=lambda x, y: x,
            fake=native.like(),
        )


LIBRARY_WITH_TOY = """
import sys, torch
from torch import Tensor
from torchmdnet.ops import native

torch.ops.load_library(sys.argv[1])
native.define("toy", "(Tensor x) -> Tensor", reference=lambda x: x + 2, fake=native.like())
print(torch.ops.torchmdnet.toy(torch.ones(1)).item())
print(torch._C._dispatch_has_kernel_for_dispatch_key("torchmdnet::toy", "CUDA"))
try:
    native.define("toy", "(Tensor y) -> Tensor", reference=lambda x: x + 2, fake=native.like())
except ImportError as error:
    print(error)
"""

TOY = """
#include "torch_abi.h"
using namespace torchmdnet;
void toy(StableIValue* stack, uint64_t, uint64_t) {
  Tensor x(stack[0]);
  Tensor y = x.empty_like({1});
  y.mutable_data<float>()[0] = x.data<float>()[0] + 1;
  stack[0] = y.release();
}
struct Registration {
  Registration() {
    TorchLibraryHandle define, implement;
    TMD_CHECK(aoti_torch_library_init_def("torchmdnet", __FILE__, __LINE__, &define));
    TMD_CHECK(aoti_torch_library_init_impl("torchmdnet", "CPU", __FILE__, __LINE__, &implement));
    TMD_CHECK(aoti_torch_library_def(define, "toy(Tensor x) -> Tensor"));
    TMD_CHECK(torch_library_impl(implement, "toy", toy, kAbiVersion));
  }
} registration;
"""


def test_a_kernel_of_a_library_is_kept(tmp_path: Path) -> None:
    (tmp_path / "toy.cpp").write_text(TOY)
    library = tmp_path / "libtoy.so"
    headers, torchs = Path(__file__).parents[2] / "cpp_src", Path(torch.__file__).parent / "lib"
    command = ["c++", "-std=c++17", "-shared", "-fPIC", f"-I{headers}", str(tmp_path / "toy.cpp"), "-o", str(library)]
    try:
        subprocess.run([*command, f"-L{torchs}", "-ltorch_cpu"], check=True)
    except FileNotFoundError:
        pytest.skip("no C++ compiler c++")
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LIBRARY_WITH_TOY, str(library)],
        env={**os.environ, "TORCHMD_NATIVE": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    value, has_cuda, error = run.stdout.splitlines()
    assert (value, has_cuda) == ("2.0", "True")
    assert "it defines torchmdnet::toy(Tensor x) -> Tensor, not torchmdnet::toy(Tensor y) -> Tensor" in error
