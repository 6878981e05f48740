"""How many kernels a GPU is given for energy and forces of a few atoms, counted without a GPU.

    python benchmarks/launches.py
    python benchmarks/launches.py --models TensorNet ET-SPICE --system 166 --ops 30

A small system's time on a GPU is that of starting kernels. The models run here on the CPU, with tables and frozen
weights, and take every decision as in a CUDA graph that is being recorded: an op of this package that has a kernel for
CUDA counts as many launches as that one makes, any other runs as plain PyTorch, whose ops are counted one by one. Views
and memory cost nothing; PyTorch ops that launch more than one kernel are listed below. A clear is a launch, too.
"""

import argparse
import contextlib
import importlib
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import torch
from inference_cases import MODELS, make_system
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

SOURCES = Path(__file__).parents[1] / "cpp_src"
SHOWN = ("TensorNet", "ET-SPICE", "GraphNetwork", "Transformer", "TensorNet2")

LAUNCHES = {
    "neighbor_pairs": 2,
    "edge_message_transpose": 3,
    "tensor_environment_backward": 6,
    "tensor_message_weight": 6,
    "table_message_backward": 3,
    "table_environment_backward": 3,
    "table_attention_backward": 3,
    "table_sum_backward": 3,
    "table_scalar_attention_backward": 3,
    "tensor_mix": 2,
    "tensor_mix_backward": 3,
    "tensor_scale": 3,
    "tensor_scale_backward": 4,
    "tensor_update": 3,
    "tensor_update_backward": 5,
    "atom_projection": 3,
    "atom_projection_backward": 3,
    "vector_exchange": 3,
    "vector_exchange_backward": 3,
}
"""Of the ops of this package that launch more than one kernel, for few atoms, products of matrices among them."""

OF_TORCH = {
    "baddbmm": 2,  # a copy of what is added, before the product
    "index_add": 2,  # a copy of what is added to
    "index_copy": 2,
    "scatter_reduce": 2,
    "masked_fill": 2,
    "cumsum": 1,
    "nonzero": 4,
    "sort": 4,
    "index_put": 6,
    "index_put_": 6,
    "_index_put_impl_": 6,
    "embedding_dense_backward": 6,
}
"""Of PyTorch's ops that launch more than one kernel."""

FREE = frozenset(
    {"empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "detach", "lift_fresh", "_unsafe_view"}
)
"""Ops that only make or name memory. So do all views, which their schemas tell."""


class Count(NamedTuple):
    """What was counted in one call."""

    launches: Counter[str]
    """Launches by op."""

    @property
    def total(self) -> int:
        """Launches of all ops."""
        return sum(self.launches.values())


def ops_with_kernels() -> frozenset[str]:
    """The ops of this package that have a kernel for CUDA."""
    return frozenset(re.findall(r'\{"(\w+)", \w+_cuda\}', (SOURCES / "cuda/library.cu").read_text()))


def _launches_nothing(func: Any, results: Any) -> bool:
    """Whether an op of PyTorch only looks at memory in another way, or has nothing to do."""
    name = func.overloadpacket.__name__
    returns = func._schema.returns
    is_view = any(value.alias_info is not None and not value.alias_info.is_write for value in returns)
    values = results if isinstance(results, tuple | list) else (results,)
    is_empty = all(not isinstance(value, Tensor) or value.numel() == 0 for value in values)
    return name in FREE or is_view or (is_empty and name != "_local_scalar_dense")


class LaunchCounter(TorchDispatchMode):
    """Counts the kernels that a GPU would be given.

    Args:
        kernels: Ops of this package with a kernel for CUDA.
        references: What stands in for the others.
    """

    def __init__(self, kernels: frozenset[str], references: dict[str, Callable[..., Any]]) -> None:
        super().__init__()
        self.kernels = kernels
        self.references = references
        self.launches: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if func.namespace == "torchmdnet":
            if name not in self.kernels:
                with self:
                    return self.references[name](*args, **(kwargs or {}))
            self.launches[f"torchmdnet::{name}"] += LAUNCHES.get(name, 1)
            return func(*args, **(kwargs or {}))
        results = func(*args, **(kwargs or {}))
        if not _launches_nothing(func, results):
            self.launches[name] += self._of_torch(name, args)
        return results

    def _of_torch(self, name: str, args: Any) -> int:
        if name == "addmm" and args[0].ndim > 1:
            return 2  # only a bias is added within the product
        if name == "_to_copy" and isinstance(args[0], Tensor) and args[0].numel() == 0:
            return 0
        if name == "native_layer_norm_backward":
            return 1 + any(args[-1][1:])
        return OF_TORCH.get(name, 1)


@contextlib.contextmanager
def as_on_cuda(kernels: frozenset[str]) -> Iterator[None]:
    """Let the package choose as it does on a GPU while a CUDA graph is recorded."""
    native = importlib.import_module("torchmdnet.ops.native")
    recording = importlib.import_module("torchmdnet.ops.recording")
    default_box = importlib.import_module("torchmdnet.neighbors.default_box")
    floats = (torch.float32, torch.float64)

    def has_kernel(name: str, *tensors: Tensor) -> bool:
        return name in kernels and all(x.dtype in floats and x.dtype == tensors[0].dtype for x in tensors)

    with (
        mock.patch.object(native, "has_kernel", has_kernel),
        mock.patch.object(recording, "is_captured", return_value=True),
        mock.patch.object(default_box.DefaultBox, "has_box", lambda box: box._has_box),
    ):
        yield


def count_launches(model: torch.nn.Module, *arguments: Tensor, **named: Any) -> Count:
    """Launches of one call of a model, which has lists of fixed size and was called before."""
    native = importlib.import_module("torchmdnet.ops.native")
    kernels = ops_with_kernels()
    with as_on_cuda(kernels), LaunchCounter(kernels, native.REFERENCES) as counter:
        model(*arguments, **named)
    return Count(counter.launches)


def prepared(options: dict[str, Any], system: str) -> tuple[torch.nn.Module, tuple[Tensor, ...], dict[str, Any]]:
    """A frozen model with tables and lists of fixed size, called once, and its arguments."""
    torch.manual_seed(1)
    model = importlib.import_module("torchmdnet.models.model").create_model(options)
    model = model.eval().requires_grad_(False)
    importlib.import_module("torchmdnet.models").use_radial_tables(model)
    importlib.import_module("torchmdnet.neighbors").use_static_shapes(model)
    z, pos, batch, box = make_system(system)
    arguments = (torch.as_tensor(z), torch.as_tensor(pos), torch.as_tensor(batch))
    named = {"box": None if box is None else torch.as_tensor(box), "num_systems": int(batch.max()) + 1}
    model(*arguments, **named)
    return model, arguments, named


def main() -> None:
    """Print launches by model, and by op."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=sorted(MODELS), default=SHOWN)
    parser.add_argument("--system", default="24", help="water, as in inference.py")
    parser.add_argument("--ops", type=int, default=12, help="rows of ops by model")
    options = parser.parse_args()
    for name in options.models:
        model, arguments, named = prepared(MODELS[name], options.system)
        count = count_launches(model, *arguments, **named)
        print(f"{name}: {count.total} launches")
        for op, launches in count.launches.most_common(options.ops):
            print(f"    {launches:4d} {op}")


if __name__ == "__main__":
    main()
