"""Whether what runs now is recorded, to be done later with other numbers.

While ``torch.compile`` traces or a CUDA graph is captured there are no numbers to look at: what depends on them, such
as a check of the input, has to be left out.
"""

import torch
from torch import Tensor

__all__ = ["is_captured", "is_recorded"]


def is_captured(tensor: Tensor) -> bool:
    """Whether what is done with the tensor now becomes part of a CUDA graph."""
    # Asked of a GPU's tensor alone: where there is no GPU, the question itself would be an error.
    return tensor.is_cuda and torch.cuda.is_current_stream_capturing()


def is_recorded(tensor: Tensor) -> bool:
    """Whether what is done with the tensor now is compiled or captured, so that its numbers cannot be read."""
    return torch.compiler.is_compiling() or is_captured(tensor)
