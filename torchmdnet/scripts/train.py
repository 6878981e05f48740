"""``torchmd-train``: train a model from a YAML file and options, and print its errors."""

import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TextIO

from torchmdnet.checkpoint import load_checkpoint
from torchmdnet.config import Config, build_parser, given_options, parse_arguments
from torchmdnet.datasets import DATASETS
from torchmdnet.models import MODELS
from torchmdnet.outputs import OUTPUTS
from torchmdnet.priors import PRIORS
from torchmdnet.scripts.reporting import quiet_lightning, run_command
from torchmdnet.training.distributed import disconnect, is_rank_zero
from torchmdnet.training.run import TrainingResult, train

__all__ = ["main", "read_config"]

_OF_ONE_RUN = frozenset({"load_model", "load_weights", "reset_trainer", "compatibility_load"})
"""Options that say how a run starts and are not taken over by the run that resumes it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return run_command("torchmd-train", lambda: _command(sys.argv[1:] if argv is None else list(argv)))


def _command(argv: Sequence[str]) -> None:
    if not {"-h", "--help"}.isdisjoint(argv):
        build_parser().epilog = _names()
    config = read_config(argv)
    quiet_lightning()
    with _logged(Path(config.log_dir) / "log" if config.redirect and is_rank_zero() else None):
        result = train(config)
        if is_rank_zero():
            _print_files(result)
    disconnect()


def _names() -> str:
    """What the options that name a class can name."""
    registries: dict[str, Iterable[str]] = {"dataset": DATASETS, "model": MODELS, "prior_model": PRIORS}
    registries["output_model"] = [name for name in OUTPUTS if not name.startswith("Equivariant")]
    lists = [f"{option} is one of {', '.join(names)}." for option, names in registries.items()]
    return " ".join([*lists, "A data set or prior of your own is named by its import path, my_module.MyClass."])


def read_config(argv: Sequence[str]) -> Config:
    """The options of a run: command line over YAML file over the checkpoint that ``load_model`` names."""
    given = given_options(argv)
    checkpoint = given.get("load_model")
    if checkpoint is None:
        return parse_arguments(argv)
    old_layout = given.get("compatibility_load")
    stored = load_checkpoint(checkpoint, compatibility_load=old_layout)["hyper_parameters"]
    return parse_arguments(
        argv, checkpoint_options={key: value for key, value in stored.items() if key not in _OF_ONE_RUN}
    )


def _print_files(result: TrainingResult) -> None:
    print(f"best model       {result.best}")
    print(f"last checkpoint  {result.last}  (resume: torchmd-train --load-model {result.last})")
    print(
        f'use it:          python -c "from torchmdnet.models.model import load_model; '
        f"model = load_model('{result.best}')\""
    )


class _Tee:
    """Text goes to two places; not a terminal, so that progress is lines."""

    def __init__(self, first: TextIO, second: TextIO) -> None:
        self.files = (first, second)

    def write(self, text: str) -> int:
        for file in self.files:
            file.write(text)
        return len(text)

    def flush(self) -> None:
        for file in self.files:
            file.flush()

    def isatty(self) -> bool:
        return False


@contextmanager
def _logged(path: Path | None) -> Iterator[None]:
    """What is printed also goes to a file, and so does what ends the run."""
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        open(path, "a", buffering=1) as file,
        redirect_stdout(_Tee(sys.stdout, file)),
        redirect_stderr(_Tee(sys.stderr, file)),
    ):
        try:
            yield
        except Exception:
            traceback.print_exc(file=file)
            raise


if __name__ == "__main__":
    sys.exit(main())
