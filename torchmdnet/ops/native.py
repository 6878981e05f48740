"""Load the native ops, tell PyTorch about them, and decide whether they or its own do the work.

TORCHMD_NATIVE = auto (default: use the library where it was built) | 0 (never) | require (fail without it)
"""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

__all__ = ["AVAILABLE", "LIBRARY", "STATUS", "describe", "like", "runs_natively"]

LIBRARY = Path(__file__).parent / "libtorchmdnet.so"
_MODES = ("auto", "0", "require")
_DTYPES = (torch.float32, torch.float64)


def _load(mode: str, library: Path) -> tuple[bool, str]:
    """Load the library as the mode says; tell whether it serves and why."""
    if mode not in _MODES:
        raise ValueError(f"TORCHMD_NATIVE={mode} is not known; choose one of {', '.join(_MODES)}")
    if mode == "0":
        return False, "switched off by TORCHMD_NATIVE=0"
    if not library.is_file():
        if mode == "require":
            raise ImportError(
                f"TORCHMD_NATIVE=require, but {library.name} was not built: install the package again where there is a "
                "C++ compiler, or leave TORCHMD_NATIVE unset"
            )
        return False, "not built"
    try:
        torch.ops.load_library(str(library))
    except OSError as error:
        if mode == "require":
            raise ImportError(f"TORCHMD_NATIVE=require, but {library} cannot be loaded: {error}") from error
        warnings.warn(
            f"the native ops cannot be loaded and PyTorch's own take their place: {error}", RuntimeWarning, stacklevel=2
        )
        return False, f"cannot be loaded: {error}"
    return True, f"CPU, {library}"


AVAILABLE, STATUS = _load(os.environ.get("TORCHMD_NATIVE", "auto"), LIBRARY)


def runs_natively(*tensors: Tensor) -> bool:
    """Tell whether the native ops take these tensors: all on the CPU, all float32 or all float64."""
    return AVAILABLE and all(
        tensor.device.type == "cpu" and tensor.dtype in _DTYPES and tensor.dtype == tensors[0].dtype
        for tensor in tensors
    )


def describe(
    name: str,
    *,
    fake: Callable[..., Any],
    backward: Callable[..., Any] | None = None,
    setup_context: Callable[..., None] | None = None,
) -> None:
    """Tell PyTorch what a native op returns, without computing it, and how it is differentiated.

    Nothing is done where the library was not loaded.

    Args:
        name: The op below ``torch.ops.torchmdnet``.
        fake: Takes the op's arguments and returns empty tensors of the shapes and types that the op returns.
        backward: Its derivative; None where a ``torch.autograd.Function`` around the op has it.
        setup_context: What ``backward`` needs to have kept.
    """
    if not AVAILABLE:
        return
    torch.library.register_fake(f"torchmdnet::{name}", fake)
    if backward is not None:
        torch.library.register_autograd(f"torchmdnet::{name}", backward, setup_context=setup_context)


def like(number: int | None = None, *, position: int = 0) -> Callable[..., Any]:
    """A fake for an op that returns arrays like one of its arguments: one array, or a tuple of a number of them."""

    def fake(*arguments: Any) -> Tensor | tuple[Tensor, ...]:
        source: Tensor = arguments[position]
        if number is None:
            return source.new_empty(source.shape)
        return tuple(source.new_empty(source.shape) for _ in range(number))

    return fake
