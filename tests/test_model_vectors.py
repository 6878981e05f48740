"""Models reproduce TorchMD-NET: weights, inputs, energies and forces recorded there, in float64.

Frozen output: values of TorchMD-NET's pure Python path, which these equations match to rounding.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from torchmdnet.factory import create_model
from torchmdnet.potential import TorchMD_Net

FOLDER = Path(os.environ.get("TORCHMDNET_TEST_DATA", "")) / "contract" / "test_vectors"
CASES = sorted(path.stem for path in FOLDER.glob("*.npz")) if "TORCHMDNET_TEST_DATA" in os.environ else []

Case = dict[str, np.ndarray]


def read(name: str, folder: Path) -> tuple[dict[str, Any], Case]:
    with np.load(folder / "contract" / "test_vectors" / f"{name}.npz") as file:
        case = {key: file[key] for key in file.files}
    return json.loads(str(case.pop("args"))), case


def load(args: dict[str, Any], case: Case) -> TorchMD_Net:
    model = create_model(args)
    weights = {key.removeprefix("sd::"): torch.as_tensor(value) for key, value in case.items() if "sd::" in key}
    model.load_state_dict(weights)
    return model.eval()


def evaluate(model: TorchMD_Net, case: Case) -> tuple[Tensor, Tensor]:
    def field(name: str) -> Tensor | None:
        return torch.as_tensor(case[name]) if name in case else None

    z, pos, batch = (torch.as_tensor(case[name]) for name in ("z", "pos", "batch"))
    y, neg_dy = model(z, pos, batch, box=field("box"), q=field("q"))
    return y, neg_dy


@pytest.mark.parametrize("name", CASES or [pytest.param("", marks=pytest.mark.skip("no test data"))])
def test_reproduces_energies_and_forces_of_torchmd_net(name: str, test_data: Path) -> None:
    args, case = read(name, test_data)
    y, neg_dy = evaluate(load(args, case), case)
    # TorchMD-NET keeps the constants of its priors in float32 even when it computes in float64.
    tolerance = 1e-6 if args["prior_model"] else 1e-10
    torch.testing.assert_close(y, torch.as_tensor(case["y"]), rtol=tolerance, atol=tolerance)
    if neg_dy.numel():
        torch.testing.assert_close(neg_dy, torch.as_tensor(case["neg_dy"]), rtol=tolerance, atol=tolerance)


SO3_CASES = [name for name in CASES if "_so3" in name]


@pytest.mark.parametrize("name", SO3_CASES or [pytest.param("", marks=pytest.mark.skip("no test data"))])
def test_reproduces_the_mirror_images_of_release_3(name: str, test_data: Path) -> None:
    args, case = read(name, test_data)
    y, neg_dy = evaluate(load({**args, "so3_convention": "3.x"}, case), case)
    torch.testing.assert_close(y, torch.as_tensor(case["y_warp"]), rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(neg_dy, torch.as_tensor(case["neg_dy_warp"]), rtol=1e-7, atol=1e-7)
    assert float((y - torch.as_tensor(case["y"])).abs().max()) > 1e-6


@pytest.mark.parametrize("name", ["tensornet", "tensornet_triclinic", "tensornet_o3_q"])
def test_stays_within_a_float32_constant_of_the_warp_kernels(name: str, test_data: Path) -> None:
    args, case = read(name, test_data)
    y, neg_dy = evaluate(load(args, case), case)
    # Those kernels round 1/3 to float32.
    torch.testing.assert_close(y, torch.as_tensor(case["y_warp"]), rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(neg_dy, torch.as_tensor(case["neg_dy_warp"]), rtol=1e-7, atol=1e-7)
