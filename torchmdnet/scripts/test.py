"""``torchmd-test``: errors of a trained model on any data."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch_geometric.data import Batch

from torchmdnet.checkpoint import load_checkpoint, load_weights
from torchmdnet.config import Config, ConfigError, given_options, parse_arguments, read_command_line
from torchmdnet.datasets import DATASETS
from torchmdnet.datasets.create import create_dataset
from torchmdnet.scripts.reporting import quiet_lightning, run_command
from torchmdnet.training.data_checks import check_test_data
from torchmdnet.training.module import LNNP
from torchmdnet.training.parity import plot_parity
from torchmdnet.training.report import print_errors, write_errors
from torchmdnet.training.run import evaluate
from torchmdnet.training.trainer import create_trainer

__all__ = ["main"]

_ANEW = {
    "ngpus": 1,
    "num_nodes": 1,
    "splits": None,
    "val_dataset_root": None,
    "test_dataset_root": None,
    "compatibility_load": None,
}
"""Options that a test does not take over from the training run."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return run_command("torchmd-test", lambda: _command(sys.argv[1:] if argv is None else list(argv)))


def _command(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="torchmd-test",
        description="Print the errors of a trained model on all frames of a data set.",
        epilog="Further options are those of torchmd-train for data and hardware, such as --dataset ExtXYZ "
        "--dataset-root new.xyz --batch-size 8 --accelerator cpu, or --conf with a YAML file of them; what is not "
        "given is as in the training run.",
        allow_abbrev=False,
    )
    parser.add_argument("--model", required=True, metavar="CKPT", help="checkpoint of torchmd-train")
    parser.add_argument("--output", metavar="FOLDER", help="also write errors.csv, errors.json and parity.png there")
    given, rest = parser.parse_known_args(argv)
    _refuse_options_of_training(rest)
    old_layout = given_options(rest).get("compatibility_load")
    stored = load_checkpoint(given.model, compatibility_load=old_layout)["hyper_parameters"]
    config = parse_arguments(rest, checkpoint_options=stored | _ANEW)
    quiet_lightning()
    _test(config, stored.get("prior_args"), model=given.model, output=given.output)


def _refuse_options_of_training(argv: Sequence[str]) -> None:
    for key in ("load_model", "load_weights", "reset_trainer"):
        if read_command_line(argv).get(key):
            raise ConfigError(f"{key}: is an option of torchmd-train; --model names the checkpoint that is tested")


def _test(config: Config, prior_args: Any, *, model: str, output: str | None) -> None:
    options = config.to_dict() | {"prior_args": prior_args}
    parts = create_dataset(options, DATASETS)
    check_test_data(parts.dataset, options)
    module = LNNP(options)
    module.energy_unit, module.length_unit = parts.dataset.energy_unit, parts.dataset.length_unit
    load_weights(module.model, model, compatibility_load=options["compatibility_load"])
    loader = _FrameBatches(parts.dataset, options["inference_batch_size"] or options["batch_size"])
    result, _ = evaluate(create_trainer(options), module, loader)
    results = {"all": result}
    print_errors(results)
    if output is not None:
        folder = Path(output)
        folder.mkdir(parents=True, exist_ok=True)
        write_errors(results, folder / "errors.csv")
        plot_parity(results, folder / "parity.png")


class _FrameBatches:
    """All frames of a data set, in their order."""

    def __init__(self, dataset: Any, batch_size: int) -> None:
        self.dataset, self.batch_size = dataset, batch_size

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        for start in range(0, len(self.dataset), self.batch_size):
            yield self.dataset.get_batch(np.arange(start, min(start + self.batch_size, len(self.dataset))))


if __name__ == "__main__":
    sys.exit(main())
