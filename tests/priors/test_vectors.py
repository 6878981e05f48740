"""ZBL, D2 and Atomref together give the energies and forces of TorchMD-NET.

The case has a graph network under the priors; it is written out here from its equations in the contract, so that this
test needs no model of the package.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear, silu

from torchmdnet.graph import System
from torchmdnet.neighbors import neighbor_graph
from torchmdnet.ops.scatter import scatter_sum
from torchmdnet.priors import PRIORS, BasePrior

State = dict[str, Tensor]


def graph_network_terms(state: State, system: System, args: dict[str, Any]) -> Tensor:
    """Term of each atom before scaling. (N, 1)"""
    w = {k.removeprefix("representation_model."): v for k, v in state.items()}
    upper = args["cutoff_upper"]
    graph = neighbor_graph(system, cutoff_lower=0.0, cutoff_upper=upper, loop=False)
    cut = 0.5 * (torch.cos(graph.distance * math.pi / upper) + 1).unsqueeze(1)
    decay = torch.exp(-5.0 / upper * graph.distance).unsqueeze(1)
    rbf = cut * torch.exp(-w["distance_expansion.betas"] * (decay - w["distance_expansion.means"]) ** 2)

    def dense(x: Tensor, name: str) -> Tensor:
        return linear(x, w[f"{name}.weight"], w.get(f"{name}.bias"))

    def gather(weight: Tensor, x: Tensor) -> Tensor:
        return scatter_sum(weight * x[graph.sender], graph.receiver, len(x))

    x = w["embedding.weight"][system.z]
    embedded = w["neighbor_embedding.embedding.weight"][system.z]
    seen = gather(cut * dense(rbf, "neighbor_embedding.distance_proj"), embedded)
    x = dense(torch.cat([x, seen], dim=1), "neighbor_embedding.combine")
    for layer in range(args["num_layers"]):
        name = f"interactions.{layer}"
        weight = dense(silu(dense(rbf, f"{name}.mlp.0")), f"{name}.mlp.2") * cut
        y = gather(weight, dense(x, f"{name}.conv.lin1"))
        x = x + dense(silu(dense(y, f"{name}.conv.lin2")), f"{name}.lin")
    hidden = silu(dense(x, "output_model.output_network.layers.0"))
    return dense(hidden, "output_model.output_network.layers.2")


def load_priors(state: State, args: dict[str, Any]) -> list[BasePrior]:
    priors = []
    for number, entry in enumerate(args["prior_model"]):
        ((name, arguments),) = entry.items()
        prior = PRIORS[name](**arguments).double()
        prefix = f"prior_model.{number}."
        prior.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
        priors.append(prior)
    return priors


def test_priors_reproduce_energies_and_forces(test_data: Path) -> None:
    with np.load(test_data / "contract/test_vectors/gn_priors.npz") as file:
        case = {key: torch.as_tensor(file[key]) for key in file if key != "args"}
        args = json.loads(str(file["args"]))
    state = {key.removeprefix("sd::"): value for key, value in case.items() if key.startswith("sd::")}
    z, batch, pos = case["z"], case["batch"], case["pos"].requires_grad_()
    x = graph_network_terms(state, System(z, pos, batch, 2), args) * state["std"]
    priors = load_priors(state, args)
    for prior in priors:
        x = prior.pre_reduce(x, z, pos, batch)
    y = scatter_sum(x, batch, 2) + state["mean"]
    for prior in priors:
        y = prior.post_reduce(y, z, pos, batch)
    (gradient,) = torch.autograd.grad(y.sum(), pos)
    # TorchMD-NET keeps the constants of ZBL and D2 in float32 even when it computes in float64.
    torch.testing.assert_close(y, case["y"], rtol=0, atol=1e-6)
    torch.testing.assert_close(-gradient, case["neg_dy"], rtol=0, atol=1e-6)
