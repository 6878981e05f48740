r"""From positions to the vectors of listed pairs, :math:`v_e = r_i - r_j - s_e\,\mathrm{box}`, and the adjoint map.

Both are linear: derivatives of any order are these two. Rows after ``row_ptr[N]`` are padding: their vector is zero
here, and they are left out of the sums.

Letters in shapes: N atoms, B systems, E rows of the list.
"""

from typing import Any

import torch
from torch import Tensor

from torchmdnet.ops import native

__all__ = [
    "pair_vectors",
    "pair_vectors_reference",
    "pair_vectors_transpose",
    "pair_vectors_transpose_reference",
]


def pair_vectors(*arguments: Tensor) -> Tensor:
    """Run the op; see :func:`pair_vectors_reference`."""
    vector: Tensor = native.call("pair_vectors", *arguments)
    return vector


def pair_vectors_transpose(*arguments: Any) -> tuple[Tensor, Tensor]:
    """Run the op; see :func:`pair_vectors_transpose_reference`."""
    gradients: tuple[Tensor, Tensor] = native.call("pair_vectors_transpose", *arguments)
    return gradients


def pair_vectors_reference(
    pos: Tensor, box: Tensor, batch: Tensor, receiver: Tensor, sender: Tensor, shift: Tensor, row_ptr: Tensor
) -> Tensor:
    """Vectors from the image ``shift`` of the sender to the receiver.

    Shapes: pos: (N, 3), box: (B, 3, 3), batch: (N,), receiver, sender: (E,), shift: (E, 3) or (0, 3) for no shifts,
    row_ptr: (N + 1,) -> (E, 3).
    """
    num_rows, num_edges = receiver.shape[0], int(row_ptr[-1])
    receiver, sender, shift = receiver[:num_edges], sender[:num_edges], shift[:num_edges]
    vector = pos.index_select(0, receiver) - pos.index_select(0, sender)
    if shift.shape[0]:
        cell = box.index_select(0, batch.index_select(0, receiver))
        vector = vector - (shift.to(pos.dtype).unsqueeze(2) * cell).sum(1)
    return torch.cat([vector, vector.new_zeros((num_rows - num_edges, 3))])


def pair_vectors_transpose_reference(
    grad: Tensor, batch: Tensor, sender: Tensor, shift: Tensor, row_ptr: Tensor, num_systems: int, with_box: bool
) -> tuple[Tensor, Tensor]:
    """Adjoint of :func:`pair_vectors_reference` with respect to positions and boxes.

    Shapes: grad: (E, 3) -> (N, 3), and (B, 3, 3), or (0, 3, 3) without ``with_box``.
    """
    num_atoms = row_ptr.shape[0] - 1
    receiver = torch.repeat_interleave(row_ptr.diff())
    grad, sender, shift = (rows[: receiver.shape[0]] for rows in (grad, sender, shift))
    pos = grad.new_zeros((num_atoms, 3)).index_add(0, receiver, grad).index_add(0, sender, -grad)
    if not with_box:
        return pos, grad.new_zeros((0, 3, 3))
    box = grad.new_zeros((num_systems, 3, 3))
    if shift.shape[0] == 0:
        return pos, box
    system = batch.index_select(0, receiver)
    return pos, box.index_add(0, system, -shift.to(grad.dtype).unsqueeze(2) * grad.unsqueeze(1))


def _vectors_fake(pos: Tensor, box: Tensor, batch: Tensor, receiver: Tensor, *_: Tensor) -> Tensor:
    return pos.new_empty((receiver.shape[0], 3))


def _transpose_fake(
    grad: Tensor, batch: Tensor, sender: Tensor, shift: Tensor, row_ptr: Tensor, num_systems: int, with_box: bool
) -> tuple[Tensor, Tensor]:
    num_cells = num_systems if with_box else 0
    return grad.new_empty((row_ptr.shape[0] - 1, 3)), grad.new_empty((num_cells, 3, 3))


def _keep_list(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, box, batch, _, sender, shift, row_ptr = inputs
    ctx.num_systems = box.shape[0]
    ctx.save_for_backward(batch, sender, shift, row_ptr)


def _vectors_backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    with_box = ctx.needs_input_grad[1]
    pos, box = pair_vectors_transpose(grad.contiguous(), *ctx.saved_tensors, ctx.num_systems, with_box)
    return pos, box if with_box else None, None, None, None, None, None


def _keep_transposed_list(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    _, batch, sender, shift, row_ptr, ctx.num_systems, ctx.with_box = inputs
    ctx.save_for_backward(batch, sender, shift, row_ptr)


def _transpose_backward(ctx: Any, pos: Tensor, box: Tensor) -> tuple[Tensor | None, ...]:
    batch, sender, shift, row_ptr = ctx.saved_tensors
    if not ctx.with_box:
        box = pos.new_zeros((ctx.num_systems, 3, 3))
    receiver = torch.searchsorted(
        row_ptr[1:], torch.arange(sender.shape[0], device=row_ptr.device, dtype=row_ptr.dtype), right=True
    )
    receiver = receiver.clamp(max=max(row_ptr.shape[0] - 2, 0)).to(row_ptr.dtype)
    grad = pair_vectors(pos.contiguous(), box.contiguous(), batch, receiver, sender, shift, row_ptr)
    return grad, None, None, None, None, None, None


native.define(
    "pair_vectors",
    "(Tensor pos, Tensor box, Tensor batch, Tensor receiver, Tensor sender, Tensor shift, Tensor row_ptr) -> Tensor",
    reference=pair_vectors_reference,
    fake=_vectors_fake,
    backward=_vectors_backward,
    setup_context=_keep_list,
)
native.define(
    "pair_vectors_transpose",
    "(Tensor grad, Tensor batch, Tensor sender, Tensor shift, Tensor row_ptr, SymInt num_systems, bool with_box) -> "
    "(Tensor pos, Tensor box)",
    reference=pair_vectors_transpose_reference,
    fake=_transpose_fake,
    backward=_transpose_backward,
    setup_context=_keep_transposed_list,
)
