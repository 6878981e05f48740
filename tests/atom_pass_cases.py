"""Arguments of the ops on single atoms and edges, for their kernels on the CPU, on threads of it and on a GPU."""

import torch
from tensor_op_cases import Calls, numbers
from torch import Tensor


def pass_calls(num_atoms: int, channels: int, dtype: torch.dtype) -> Calls:
    """Those of the ops that map, scale and update tensors by their parts."""
    x, y, message, grad, other = numbers(5, 9, num_atoms, channels, dtype=dtype).unbind(0)
    scales, by_norms = numbers(2, num_atoms, 3, channels, seed=1, dtype=dtype).unbind(0)
    maps = (numbers(3, channels, channels, seed=2, dtype=dtype) / max(channels, 1) ** 0.5).unbind(0)
    kappas = [numbers(0, 1, dtype=dtype), 1 + 0.1 * numbers(num_atoms, 1, seed=3, dtype=dtype)]
    updates = [(kappa, *maps, both) for kappa in kappas for both in (True, False)]
    return {
        "tensor_mix": [(x, *maps)],
        "tensor_mix_backward": [(grad, other, x, *maps)],
        "tensor_scale": [(x, scales, *maps)],
        "tensor_scale_backward": [(grad, x, scales, *maps)],
        "tensor_update": [(x, y, message, *rest) for rest in updates],
        "tensor_update_backward": [(grad, y, message, *rest) for rest in updates],
        "part_norms": [(x,)],
        "part_norms_backward": [(by_norms, x)],
    }


def edge_calls(num_edges: int, dtype: torch.dtype) -> Calls:
    """Those of the ops on edges, of which every third has a vector without length, and on their pairs."""
    vector = numbers(num_edges, 3, dtype=dtype)
    vector[::3] = 0
    by_vector, tensors = numbers(num_edges, 3, seed=1, dtype=dtype), numbers(num_edges, 9, seed=2, dtype=dtype)
    by_distance = numbers(num_edges, seed=3, dtype=dtype)
    num_pairs = (num_edges + 1) // 2
    pair = torch.arange(num_edges, dtype=torch.int32) // 2
    first = 2 * torch.arange(num_pairs, dtype=torch.int32)
    scale = (0.7, 0.03, 66.0)
    return {
        "sender_directions": [(vector,)],
        "sender_directions_backward": [(by_vector, vector)],
        "table_coordinate": [(by_distance.abs(), *scale)],
        "table_coordinate_backward": [(vector[:, 0].contiguous(), by_distance.abs(), *scale)],
        "pair_distances": [(by_distance, first, pair)],
        "pair_distances_backward": [(by_distance[:num_pairs].clone(), first, pair)],
        "edge_tensors": [(vector,)],
        "edge_tensors_backward": [(tensors, vector)],
        "along_vectors": [(by_vector, by_distance, vector, vector.norm(dim=1))],
    }


def layer_calls(num_atoms: int, channels: int, dtype: torch.dtype) -> Calls:
    """Those of the ops on single atoms of the equivariant transformer."""
    scalars = numbers(4, num_atoms, channels, dtype=dtype).unbind(0)
    vectors = numbers(3, num_atoms, 3, channels, seed=1, dtype=dtype).unbind(0)
    wide = numbers(num_atoms, 3 * channels, seed=2, dtype=dtype)
    rows = numbers(2, channels, seed=3, dtype=dtype).unbind(0)
    width = max(channels, 1) ** 0.5
    map_, vector_map, projection = (
        numbers(channels, count * channels, seed=seed, dtype=dtype) / width for count, seed in ((3, 4), (3, 5), (5, 6))
    )
    bias, long_bias = numbers(3 * channels, seed=7, dtype=dtype), numbers(5 * channels, seed=8, dtype=dtype)
    maps = (map_, _turned(map_), bias, vector_map, _turned(vector_map))
    weights = (*rows, projection, _turned(projection), long_bias, 1e-5)
    x, received, grad_x, _ = scalars
    v, added, grad_v = vectors
    p = (v @ vector_map).contiguous()
    o = received @ map_ + bias
    return {
        "vector_lengths": [(v,), (torch.zeros_like(v),)],
        "vector_lengths_backward": [(x, v), (x, torch.zeros_like(v))],
        "atom_projection": [(1 + 2 * x, *weights)],
        "atom_projection_backward": [(grad_x, received, wide, 1 + 2 * x, *weights)],
        "vector_exchange": [(x, v, received, added, *maps, keeps) for keeps in (True, False)],
        "vector_exchange_backward": [
            (grad_x, grad_v, v, received, kept_p, kept_o, *maps) for kept_p, kept_o in ((p, o), (p[:0], o[:0]))
        ],
    }


def _turned(matrix: Tensor) -> Tensor:
    return matrix.t().contiguous()
