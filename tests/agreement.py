"""Print how far models are from the recorded numbers of TorchMD-NET: ``python tests/agreement.py``.

Largest difference of energies (eV) and forces (eV/Å) over all recorded cases of a model, in float64 and with the
weights and inputs rounded to float32, and of the recorded checkpoints. TORCHMDNET_TEST_DATA names the folder.
"""

import json
from collections import defaultdict

import numpy as np
import torch
from test_checkpoint import FILES_OF_TORCHMD_NET
from test_model_vectors import CASES, FOLDER, Case, evaluate, load, read

from torchmdnet.checkpoint import load_model


def differences(name: str, precision: int, *, is_mirrored: bool) -> tuple[str, float, float]:
    """Model, and largest difference of energies and of forces."""
    args, case = read(name, FOLDER.parent.parent)
    suffix = "_warp" if is_mirrored else ""
    options = args | {"precision": precision, "so3_convention": "3.x" if is_mirrored else "2.x"}
    y, neg_dy = evaluate(load(options, rounded(case, precision)), rounded(case, precision))
    forces = np.abs(neg_dy.numpy() - case[f"neg_dy{suffix}"]).max() if neg_dy.numel() else 0.0
    energy = np.abs(y.detach().numpy() - case[f"y{suffix}"]).max()
    kind = f"{args['model']}{' with priors' if args['prior_model'] else ''}{' as 3.x, SO(3)' if is_mirrored else ''}"
    return kind, float(energy), float(forces)


def rounded(case: Case, precision: int) -> Case:
    kind = np.float32 if precision == 32 else np.float64
    return {key: value.astype(kind) if value.dtype.kind == "f" else value for key, value in case.items()}


def main() -> None:
    found: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    for precision in (64, 32):
        for name in CASES:
            for is_mirrored in (False, True) if "_so3" in name else (False,):
                kind, *values = differences(name, precision, is_mirrored=is_mirrored)
                found[kind, precision].append((values[0], values[1]))
    for (kind, precision), values in sorted(found.items()):
        energy, forces = np.max(values, axis=0)
        print(f"{kind:28} float{precision} {len(values):2} cases  energy {energy:.1e}  forces {forces:.1e}")
    expected = json.loads((FOLDER / "ckpt" / "expected.json").read_text())
    for name in FILES_OF_TORCHMD_NET:
        model = load_model(FOLDER / "ckpt" / f"{name}.ckpt", derivative=True)
        y, neg_dy = model(torch.tensor(expected["z"]), torch.tensor(expected["pos"]))
        result = expected["results"][f"{name}.ckpt"]
        energy, forces = (np.abs(a.numpy() - np.array(result[b])).max() for a, b in ((y, "y"), (neg_dy, "neg_dy")))
        print(f"{name + '.ckpt':28} float32           energy {energy:.1e}  forces {forces:.1e}")


if __name__ == "__main__":
    main()
