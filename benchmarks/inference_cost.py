"""What a model has to compute and to move for energy and forces of one atom, counted by hand from its equations.

Letters: C channels, L layers, e edges an atom. A fused multiply-add is two operations. Derivatives by positions only;
whatever is computed again in the backward pass to save memory is not counted, so that fractions of a peak are honest.
"""

from typing import Any, NamedTuple

FLOAT = 4
"""Bytes of a float32."""
VALUE, SLOPE = 10, 8
"""Operations for a value of a table (five multiply-adds), and for its slope besides."""
NEIGHBOR_EMBEDDING = 2 * VALUE + SLOPE + 2 + 4
"""Operations of an edge and channel, forward and backward."""
COMPONENTS, PARTS = 9, 3


class Cost(NamedTuple):
    """For one atom."""

    flops: float
    traffic: float
    """Bytes that must come from and go to memory: each array of atoms once for each step that reads or writes it."""
    gathered: float
    """Bytes that edges ask for, of tables and of senders; nearly all of them are in a cache."""


def tensornet_cost(options: dict[str, Any], edges: float) -> Cost:
    """TensorNet whose radial networks are tables."""
    channels, layers = options["embedding_dimension"], options["num_layers"]
    forward = PARTS * VALUE + 2 * COMPONENTS  # interpolate, sum over senders
    backward = PARTS * (VALUE + SLOPE) + 2 * COMPONENTS + 2 * COMPONENTS + 2 * PARTS  # and contract for the slope
    first_forward = PARTS * VALUE + 1 + PARTS + 2 * COMPONENTS
    first_backward = PARTS * (VALUE + SLOPE) + 1 + PARTS + 4 * COMPONENTS + 3 * PARTS
    by_edges = edges * channels * (layers * (forward + backward) + first_forward + first_backward)
    # Multiply-adds in units of C^2. Embedding: elements 2 (no gradient), mixing 9, scales 2 + 6. A layer: mixing of all
    # components before and after the message. Features 3, head 1/2.
    with_gradient = COMPONENTS + 8 + layers * 2 * COMPONENTS + 3.5
    by_atoms = 2 * channels**2 * (2 + 2 * with_gradient)
    # Two 3x3 products of a layer forward, twice that backward.
    by_products = layers * channels * 3 * 2 * 2 * 27
    tensor = COMPONENTS * channels * FLOAT
    # Forward: sum 1, scaling 2; a layer: mixing 3, message 2, update 4. Backward: twice as much.
    traffic = 3 * (3 + 9 * layers) * tensor
    row = 6 * PARTS * channels * FLOAT
    gathered = edges * (2 * layers * (row + tensor) + 2 * (row + channels * FLOAT))
    return Cost(by_edges + by_atoms + by_products, traffic, gathered)


def transformer_cost(options: dict[str, Any], edges: float) -> Cost:
    """The equivariant transformer: a table has the factors of the keys and of three values, another those of the
    neighbour embedding."""
    channels, layers = options["embedding_dimension"], options["num_layers"]
    # Four factors; q k d and its sum (3); scalars 3; vectors from vectors and from directions, 7 each.
    products = 3 + 3 + 7 + 7
    forward = 4 * VALUE + products
    # Factors and slopes; the adjoints by both ends; a product and a sum for each slope.
    backward = 4 * (VALUE + SLOPE) + 2 * products + 2 * 4
    by_edges = edges * channels * (layers * (forward + backward) + NEIGHBOR_EMBEDDING)
    # Multiply-adds in units of C^2: neighbour embedding 2; a layer: q, k 2, values 3, three projections of vectors 9,
    # out 3; head 1/2.
    by_atoms = 2 * channels**2 * 2 * (2 + layers * (2 + 3 + 9 + 3) + 0.5)
    row = channels * FLOAT
    # A layer reads and writes scalars 1 and vectors 3, q, k, values 3, three projections of vectors 9; backward twice.
    traffic = 3 * layers * 2 * (4 + 5 + 9) * row
    # Forward 24 numbers of the table and key, values and vectors of the sender; backward the gradients of sums besides.
    gathered = edges * layers * (2 * (4 * 6 + 7) + 5) * row
    return Cost(by_edges + by_atoms, traffic, gathered)


def graph_network_cost(options: dict[str, Any], edges: float) -> Cost:
    """The graph network with sums: a table has the filters of a layer, another those of the neighbour embedding."""
    channels, layers = options["embedding_dimension"], options["num_layers"]
    # A value, its product and sum; backward a slope besides, its product with both ends and its sum.
    forward, backward = VALUE + 2, VALUE + SLOPE + 2 + 3
    by_edges = edges * channels * (layers * (forward + backward) + NEIGHBOR_EMBEDDING)
    # Multiply-adds in units of C^2: neighbour embedding 2; a layer: three maps; head 1/2.
    by_atoms = 2 * channels**2 * 2 * (2 + layers * 3 + 0.5)
    row = channels * FLOAT
    # A layer reads and writes what it adds to, what is summed, the sum, and the sum's map before and after its
    # activation; backward twice.
    traffic = 3 * layers * 2 * 5 * row
    # Six numbers of the table and one of the sender, forward and backward.
    gathered = edges * (layers + 1) * 2 * (6 + 1) * row
    return Cost(by_edges + by_atoms, traffic, gathered)


def scalar_transformer_cost(options: dict[str, Any], edges: float) -> Cost:
    """The transformer: a table has the factors of the keys and of the values, another those of the embedding."""
    channels, layers = options["embedding_dimension"], options["num_layers"]
    products = 3 + 3  # q k d and its sum; scalars
    forward = 2 * VALUE + products
    backward = 2 * (VALUE + SLOPE) + 2 * products + 2 * 2
    by_edges = edges * channels * (layers * (forward + backward) + NEIGHBOR_EMBEDDING)
    # Multiply-adds in units of C^2: neighbour embedding 2; a layer: q, k, v, out; head 1/2.
    by_atoms = 2 * channels**2 * 2 * (2 + layers * 4 + 0.5)
    row = channels * FLOAT
    # A layer reads and writes what it adds to, before and after the norm, q, k, v and the sum; backward twice.
    traffic = 3 * layers * 2 * 6 * row
    # Forward twelve numbers of the table, key and value of the sender; backward its query and gradient besides.
    gathered = edges * layers * (2 * (2 * 6 + 2) + 2) * row
    return Cost(by_edges + by_atoms, traffic, gathered)


COUNTS = {
    "tensornet": tensornet_cost,
    "equivariant-transformer": transformer_cost,
    "graph-network": graph_network_cost,
    "transformer": scalar_transformer_cost,
}
"""By the name of the model; most of TensorNet2 is edge networks, which are no tables."""


def cost(options: dict[str, Any], edges: float) -> Cost:
    """For one atom with so many edges; of the models in ``COUNTS``."""
    return COUNTS[options["model"]](options, edges)
