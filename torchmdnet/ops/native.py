"""Load the native ops, and decide whether they or PyTorch's own do the work.

TORCHMD_NATIVE = auto (default: use the library where it was built) | 0 (never) | require (fail without it)
"""

import os
import warnings
from pathlib import Path

import torch
from torch import Tensor

__all__ = ["AVAILABLE", "LIBRARY", "STATUS", "runs_natively"]

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
