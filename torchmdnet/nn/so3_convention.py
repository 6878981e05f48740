r"""Sign of the skew part of TensorNet's embedding, which releases of TorchMD-NET choose differently.

Until 2.6 the embedding reads directions u from neighbour to centre, since 3.0 the antisymmetric part has the sign of
:math:`-u`. In O(3) this changes nothing. In SO(3) it makes a model the mirror image of itself:
:math:`E_\mathrm{3.x}(r) = E_\mathrm{2.x}(-r)`.
"""

from torchmdnet.graph import Graph

__all__ = ["SO3_CONVENTIONS", "check_so3_convention", "embedding_graph"]

SO3_CONVENTIONS = ("2.x", "3.x")
"""Releases of TorchMD-NET by their sign of the skew part."""


def check_so3_convention(convention: str) -> None:
    """Refuse a name that is not in ``SO3_CONVENTIONS``."""
    if convention not in SO3_CONVENTIONS:
        raise ValueError(f"so3_convention {convention!r} is not known; choose one of {', '.join(SO3_CONVENTIONS)}")


def embedding_graph(graph: Graph, *, group: str, convention: str) -> Graph:
    """The graph as the embedding reads it: mirrored where the convention makes a difference and is that of 3.x.

    Of the parts that the embedding forms from a direction only the antisymmetric one changes sign with it.
    """
    is_mirrored = group == "SO(3)" and convention == "3.x"
    return graph._replace(vector=-graph.vector) if is_mirrored else graph
