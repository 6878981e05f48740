"""Train from Python instead of the command line: the same options, the same files in ``log_dir``.

python examples/01_train.py            # about half a minute on one core
python examples/01_train.py --fast     # seconds: only to see that it runs
"""

import argparse
from pathlib import Path

import yaml

from torchmdnet.config import Config
from torchmdnet.training.run import train

QUICKSTART = Path(__file__).parent / "quickstart"


def main() -> None:
    """Train the quick-start model for fewer epochs and print the errors on the test frames."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log-dir", default="logs/from_python", help="where the files go")
    parser.add_argument("--fast", action="store_true", help="one epoch of a tiny model")
    args = parser.parse_args()

    options = yaml.safe_load((QUICKSTART / "quickstart.yaml").read_text())
    options |= {
        "dataset_root": str(QUICKSTART / "quickstart.extxyz"),
        "test_dataset_root": str(QUICKSTART / "test.extxyz"),
        "log_dir": args.log_dir,
        "num_epochs": 10,
    }
    if args.fast:
        options |= {"num_epochs": 1, "embedding_dimension": 8, "train_size": 64, "val_size": 16}

    result = train(Config.from_dict(options))
    forces = next(row for row in result.errors["test"].rows if row.quantity == "forces")
    print(f"forces, mean absolute error on the test frames: {forces.mae:.1f} {forces.unit}")
    print(f"weights: {result.best}")


if __name__ == "__main__":
    main()
