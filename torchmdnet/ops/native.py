"""Load the native ops, tell PyTorch about them, and decide whether they or its own do the work.

TORCHMD_NATIVE = auto (default: use the libraries that were built) | 0 (never) | require (fail without that for the CPU)

Two libraries may lie beside this file: one for the CPU, which knows all ops, and one that adds kernels for CUDA and is
loaded only where torch is built for CUDA. A third file tells how they were built, or why not.
"""

import ctypes
import functools
import json
import logging
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from torchmdnet.ops.eager import call, note_derivative

__all__ = [
    "AVAILABLE",
    "CUDA_AVAILABLE",
    "CUDA_LIBRARY",
    "CUDA_STATUS",
    "LIBRARY",
    "REFERENCES",
    "STATUS",
    "build_record",
    "call",
    "define",
    "describe",
    "has_kernel",
    "instruction_sets",
    "like",
]

LIBRARY = Path(__file__).parent / "libtorchmdnet.so"
CUDA_LIBRARY = Path(__file__).parent / "libtorchmdnet_cuda.so"
_RECORD = LIBRARY.with_suffix(".json")
_MODES = ("auto", "0", "require")
_DTYPES = (torch.float32, torch.float64)
_KEYS = {"CPU": "cpu", "CUDA": "cuda"}
"""Dispatch key to type of device."""


def build_record(device: str, path: Path = _RECORD) -> dict[str, Any]:
    """What the build wrote down for the CPU or CUDA: ``compiler``, ``architectures``; or ``reason``, if not built."""
    record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    entry: dict[str, Any] = record.get(device, {"reason": "the package was not installed by its setup.py"})
    return entry


def _not_built(device: str, record: Path) -> str:
    """The status of a library that is not there."""
    reason = build_record(device, record).get("reason", "removed since")
    return f"not built: {reason}"


def _load(mode: str, library: Path, device: str = "CPU", record: Path = _RECORD) -> tuple[bool, str]:
    """Load a library as the mode says; tell whether it serves and why."""
    if mode not in _MODES:
        raise ValueError(f"TORCHMD_NATIVE={mode} is not known; choose one of {', '.join(_MODES)}")
    if mode == "0":
        return False, "switched off by TORCHMD_NATIVE=0"
    if not library.is_file():
        if mode == "require" and device == "CPU":
            raise ImportError(
                f"TORCHMD_NATIVE=require, but {library.name} was {_not_built(device, record)}; install the package "
                "again where there is a C++ compiler, or leave TORCHMD_NATIVE unset"
            )
        return False, _not_built(device, record)
    try:
        torch.ops.load_library(str(library))
    except OSError as error:
        if mode == "require":
            raise ImportError(f"TORCHMD_NATIVE=require, but {library} cannot be loaded: {error}") from error
        warnings.warn(
            f"the native ops for {device} cannot be loaded and PyTorch's own take their place: {error}",
            RuntimeWarning,
            stacklevel=2,
        )
        return False, f"cannot be loaded: {error}"
    return True, f"{device}, {library}"


def _load_cuda(
    mode: str, library: Path, *, has_cpu: bool, cuda: str | None, record: Path = _RECORD
) -> tuple[bool, str]:
    """Load the library for CUDA where there is the one for the CPU, which defines the ops, and a torch for CUDA."""
    if mode == "0" or not library.is_file():
        return _load(mode, library, "CUDA", record)
    if not has_cpu:
        return False, "not loaded: it adds to the library for the CPU, and that was not loaded"
    if cuda is None:
        return False, f"not loaded: torch {torch.__version__} is not for CUDA"
    return _load(mode, library, "CUDA", record)


_MODE = os.environ.get("TORCHMD_NATIVE", "auto")
AVAILABLE, STATUS = _load(_MODE, LIBRARY)
CUDA_AVAILABLE, CUDA_STATUS = _load_cuda(_MODE, CUDA_LIBRARY, has_cpu=AVAILABLE, cuda=torch.version.cuda)

_UNSAID = {"cpu": STATUS, "cuda": CUDA_STATUS}
"""What is to be said when the lack of a library first matters, by type of device."""
_LOG = logging.getLogger("torchmdnet")


def _say_once(device: str) -> None:
    """Log, the first time only, that PyTorch's own functions stand in for ops that were not built.

    Who switched them off knows, and of a library that cannot be loaded a warning was given.
    """
    if torch.compiler.is_compiling():  # a line for the log would cut the traced graph in two
        return
    status = _UNSAID.pop(device, "")
    if status.startswith("not built"):
        _LOG.warning(
            "the native ops for %s are missing, PyTorch's own take their place and are slower (%s); "
            "`python -m torchmdnet` tells more",
            device,
            status,
        )


def instruction_sets() -> tuple[str, str]:
    """The instruction sets that the library for the CPU was compiled for, and the one that it uses on this machine.

    Raises:
        OSError: The library was not loaded.
    """
    if not AVAILABLE:
        raise OSError(f"the native ops for the CPU were not loaded: {STATUS}")
    library = ctypes.CDLL(str(LIBRARY))
    texts = []
    for function in (library.torchmdnet_instruction_sets, library.torchmdnet_instructions_in_use):
        function.restype = ctypes.c_char_p
        texts.append(function().decode())
    return texts[0], texts[1]


_KERNELS: dict[str, frozenset[str]] = {}
"""Types of device that the libraries have a kernel for, by the name of the op."""


def has_kernel(name: str, *tensors: Tensor) -> bool:
    """Tell whether an op has a native kernel for these tensors: all on one type of device, float32 or float64 alike.

    Args:
        name: One that :func:`define` or :func:`describe` was told of.
        tensors: Those whose numbers it reads.
    """
    device, dtype = tensors[0].device.type, tensors[0].dtype
    if not {"cpu": AVAILABLE, "cuda": CUDA_AVAILABLE}.get(device, False):
        _say_once(device)
        return False
    if device not in _KERNELS[name] or dtype not in _DTYPES:
        return False
    return all(tensor.dtype == dtype and tensor.device.type == device for tensor in tensors[1:])


def describe(
    name: str,
    *,
    fake: Callable[..., Any],
    backward: Callable[..., Any] | None = None,
    setup_context: Callable[..., None] | None = None,
) -> None:
    """Tell PyTorch what a native op returns, without computing it, and how it is differentiated.

    Nothing is done where the library was not loaded. :func:`has_kernel` tells where the op can be called.

    Args:
        name: The op below ``torch.ops.torchmdnet``.
        fake: Takes the op's arguments and returns empty tensors of the shapes and types that the op returns.
        backward: Its derivative; None where a ``torch.autograd.Function`` around the op has it.
        setup_context: What ``backward`` needs to have kept.
    """
    if AVAILABLE:
        _note_kernels(name)
        _describe(name, fake=fake, backward=backward, setup_context=setup_context)


def _note_kernels(name: str) -> None:
    """Keep for which devices the libraries, and nobody else yet, have a kernel."""
    has_key = torch._C._dispatch_has_kernel_for_dispatch_key
    _KERNELS[name] = frozenset(device for key, device in _KEYS.items() if has_key(f"torchmdnet::{name}", key))


def _describe(
    name: str,
    *,
    fake: Callable[..., Any],
    backward: Callable[..., Any] | None,
    setup_context: Callable[..., None] | None,
) -> None:
    torch.library.register_fake(f"torchmdnet::{name}", fake)
    if backward is not None:
        torch.library.register_autograd(f"torchmdnet::{name}", backward, setup_context=setup_context)
        note_derivative(name, backward=backward, setup_context=setup_context)


_FRAGMENT = torch.library.Library("torchmdnet", "FRAGMENT")
REFERENCES: dict[str, Callable[..., Any]] = {}
"""What each op that :func:`define` was told of means, by its name."""


def define(
    name: str,
    schema: str,
    *,
    reference: Callable[..., Any],
    fake: Callable[..., Any],
    backward: Callable[..., Any] | None = None,
    setup_context: Callable[..., None] | None = None,
) -> None:
    """Make an op that is there under one name on the CPU and on CUDA: native where it was built, else the reference.

    Args:
        name: The op below ``torch.ops.torchmdnet``.
        schema: Arguments and results, as in ``(Tensor x, float cutoff) -> (Tensor, Tensor)``.
        reference: The op in plain PyTorch; it runs without autograd, and may neither return one of its arguments nor
            change it.
        fake: Takes the op's arguments and returns empty tensors of the shapes and types that the op returns.
        backward: Its derivative; None where a ``torch.autograd.Function`` around the op has it.
        setup_context: What ``backward`` needs to have kept.

    Raises:
        ImportError: The library defines the op with another schema.
    """
    full_name = f"torchmdnet::{name}"
    wanted = torch._C.parse_schema(full_name + schema)
    if not hasattr(torch.ops.torchmdnet, name):
        _FRAGMENT.define(name + schema)
    given = getattr(torch.ops.torchmdnet, name).default._schema
    if str(given) != str(wanted):
        raise ImportError(
            f"{LIBRARY.name} is of another version of the package: it defines {given}, not {wanted}; install the "
            "package again"
        )
    REFERENCES[name] = reference
    _note_kernels(name)
    for key, device in _KEYS.items():
        if device not in _KERNELS[name]:
            _FRAGMENT.impl(name, _stand_in(reference, device), key)
    _describe(name, fake=fake, backward=backward, setup_context=setup_context)


def _stand_in(reference: Callable[..., Any], device: str) -> Callable[..., Any]:
    """The reference as a kernel: it says once that the native one is missing."""

    @functools.wraps(reference)
    def kernel(*arguments: Any, **named: Any) -> Any:
        _say_once(device)
        return reference(*arguments, **named)

    return kernel


def like(number: int | None = None, *, position: int = 0) -> Callable[..., Any]:
    """A fake for an op that returns arrays like one of its arguments: one array, or a tuple of a number of them."""

    def fake(*arguments: Any) -> Tensor | tuple[Tensor, ...]:
        source: Tensor = arguments[position]
        if number is None:
            return source.new_empty(source.shape)
        return tuple(source.new_empty(source.shape) for _ in range(number))

    return fake
