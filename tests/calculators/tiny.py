"""Models that are made in milliseconds, and checkpoints of them."""

from pathlib import Path
from typing import Any

import torch

from torchmdnet.config import Config
from torchmdnet.factory import create_model
from torchmdnet.migrations import FORMAT_VERSION
from torchmdnet.potential import TorchMD_Net


def small_options(**changes: Any) -> dict[str, Any]:
    """Options of a TensorNet that runs in milliseconds."""
    options = {
        "model": "tensornet",
        "embedding_dimension": 8,
        "num_layers": 1,
        "num_rbf": 6,
        "cutoff_upper": 4.0,
        "max_z": 20,
        "derivative": True,
        "precision": 64,
    }
    return Config.from_dict(options | changes).to_dict()


def small_model(seed: int = 0, **changes: Any) -> TorchMD_Net:
    """A model with random weights."""
    torch.manual_seed(seed)
    return create_model(small_options(**changes)).eval()


def write_checkpoint(path: Path, model: TorchMD_Net, options: dict[str, Any]) -> Path:
    """What a training run leaves."""
    weights = {f"model.{key}": value for key, value in model.state_dict().items()}
    torch.save({"state_dict": weights, "hyper_parameters": options | {"format_version": FORMAT_VERSION}}, path)
    return path
