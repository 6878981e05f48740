"""A potential as an exported program, which AOTInductor compiles into a file that runs without Python.

Letters in shapes: N atoms, B systems.
"""

import torch
from torch import Tensor

from torchmdnet.potential.torchmd_net import TorchMD_Net
from torchmdnet.potential.traceable import NUM_ATOMS, NUM_SYSTEMS, TraceablePotential
from torchmdnet.potential.tracing import trace_any_size

__all__ = ["export_potential"]


def export_potential(
    model: TorchMD_Net, *, periodic: bool = False, forces: bool = True
) -> torch.export.ExportedProgram:
    """The model as a program of PyTorch's own operations and those of this package, for any number of atoms.

    Its inputs are ``z`` (N,) int64, ``pos`` (N, 3), ``batch`` (N,) int64, ``q`` (B,) and ``s`` (B,), which tell the
    number of systems and are zeros where they do not matter, ``box`` (B, 3, 3) if ``periodic``, and what priors read,
    such as ``partial_charges`` (N,). All but integers are in the type of the model, and contiguous. It returns the
    energies (B, 1) and, with ``forces``, forces (N, 3). Atomic numbers are not checked.

    The model stays as it is; its radial tables, where it has some, are part of the program, and so are its weights.

    Args:
        model: The model, on the device that the program will run on.
        periodic: Whether systems have cells; all zeros is none.
        forces: Whether forces are computed.

    Raises:
        ValueError: The value has no forces, or the head takes no cells.
        RuntimeError: A part of the model reads numbers that are not known before a call.
    """
    potential = TraceablePotential(model)
    if forces and not potential.has_slopes:
        raise ValueError("this model has no forces: use export_potential(..., forces=False)")
    if periodic and not potential.takes_box:
        raise ValueError(
            "the head of this model sums over all pairs of a molecule: use export_potential(..., periodic=False)"
        )
    function = potential.value_and_forces if forces else potential.value
    names = ["z", "pos", "batch", "q", "s", *(["box"] if periodic else []), *potential.fields]

    def program(z: Tensor, pos: Tensor, batch: Tensor, q: Tensor, s: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        box, given = (others[0], others[1:]) if periodic else (None, others)
        fields = torch.stack(given, 1) if given else pos.new_zeros((pos.shape[0], 0))
        return tuple(function(z, pos, batch, box, q, s, fields, q.shape[0]))

    examples = _examples(model.mean, names)
    graph = trace_any_size(program, *examples)
    for node, name in zip(graph.graph.find_nodes(op="placeholder"), names, strict=True):
        node.target = node.name = name
    graph.recompile()
    atoms, systems = torch.export.Dim("num_atoms", min=1), torch.export.Dim("num_systems", min=1)
    shapes = {name: {0: systems if name in ("q", "s", "box") else atoms} for name in names}
    return torch.export.export(graph, tuple(examples), dynamic_shapes=shapes)


def _examples(like: Tensor, names: list[str]) -> list[Tensor]:
    """Inputs of the right shapes and types."""
    integers = torch.zeros(NUM_ATOMS, dtype=torch.int64, device=like.device)
    totals = like.new_zeros(NUM_SYSTEMS)
    known = {
        "z": integers + 1,
        "pos": like.new_zeros(NUM_ATOMS, 3),
        "batch": integers,
        "q": totals,
        "s": totals.clone(),
        "box": like.new_zeros(NUM_SYSTEMS, 3, 3),
    }
    return [known.get(name, like.new_zeros(NUM_ATOMS)) for name in names]
