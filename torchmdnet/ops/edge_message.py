r"""Messages between tensors with a weight for each edge: :math:`M_i^c = \sum_j w_{ij}^{p(c)} \odot X_j^c`.

Unlike in :mod:`torchmdnet.ops.tensor_message` an edge and its reverse may have different weights.
"""

import torch
from torch import Tensor

from torchmdnet.graph import Graph
from torchmdnet.ops.scatter import scatter_sum
from torchmdnet.ops.tensor_algebra import PART_SIZES

__all__ = ["edge_message"]


def edge_message(weight: Tensor, x: Tensor, graph: Graph) -> Tensor:
    r"""Sum the neighbours' tensors: :math:`M_i^c = \sum_j w_{ij}^{p(c)} \odot X_j^c`. Differentiable to any order.

    ``index_select`` because the gradient of plain indexing adds up in no fixed order when there are several threads.

    Shapes: weight: (E, 3, C), x: (9, N, C) -> (9, N, C).
    """
    rows = x.transpose(0, 1).index_select(0, graph.sender).split(PART_SIZES, dim=1)
    message = torch.cat([w.unsqueeze(1) * row for w, row in zip(weight.unbind(1), rows, strict=True)], dim=1)
    return scatter_sum(message, graph.receiver, x.shape[1]).transpose(0, 1)
