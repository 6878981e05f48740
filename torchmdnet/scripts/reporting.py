"""How a command ends: what the user can mend is one line, what we must mend keeps its traceback."""

import logging
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import torch.distributed as dist
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch.utilities.exceptions import MisconfigurationException, SIGTERMException

import torchmdnet
from torchmdnet.tensor_layout import UndecidedLayoutError
from torchmdnet.training.distributed import is_rank_zero
from torchmdnet.training.guard import NonFiniteError

__all__ = ["quiet_lightning", "run_command"]

SUCCESS, FAILURE, WRONG_INPUT, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143

_PACKAGE = Path(torchmdnet.__file__).parent
_SERVICES = frozenset({"wandb.errors", "wandb.errors.errors"})
_LOST_PEER = ("gloo", "nccl", "connection", "timed out", "timeout")


def run_command(name: str, command: Callable[[], None]) -> int:
    """Run ``command`` and return the exit code of the process.

    0: success; 1: training failed; 2: input or options are wrong; 130 and 143: stopped by Ctrl-C or SIGTERM.
    """
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *_, **__: _say(f"{name}: warning", message) if is_rank_zero() else None
        try:
            command()
        except NonFiniteError as error:
            _say(f"{name}: error", error)
            return FAILURE
        except (KeyboardInterrupt, SIGTERMException, SystemExit) as stop:
            return _stopped(name, stop)
        except Exception as error:
            return _failed(name, error)
    return SUCCESS


def quiet_lightning() -> None:
    """Leave out what Lightning and PyTorch say about themselves: hardware found, advice on workers and the like."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.simplefilter("ignore", PossibleUserWarning)
    warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)`")
    warnings.filterwarnings("ignore", "Grad strides do not match")  # of a (1, n) weight


def _failed(name: str, error: Exception) -> int:
    if isinstance(error, UndecidedLayoutError):
        _say(f"{name}: error", error.for_commands)
        return WRONG_INPUT
    if _is_users(error):
        _say(f"{name}: error", error.args[0] if isinstance(error, KeyError) else error)
        return WRONG_INPUT
    if _is_lost_peer(error):
        _say(f"{name}: error", f"another process of this run was lost or does not answer ({_first_line(error)})")
        return FAILURE
    raise error


def _stopped(name: str, stop: BaseException) -> int:
    """Lightning turns Ctrl-C into SystemExit."""
    if isinstance(stop, SIGTERMException):
        _say(name, "terminated; last.ckpt is of the last finished epoch")
        return TERMINATED
    if isinstance(stop, KeyboardInterrupt) or isinstance(stop.__context__, KeyboardInterrupt):
        _say(name, "interrupted; last.ckpt is of the last finished epoch")
        return INTERRUPTED
    raise stop


def _is_users(error: Exception) -> bool:
    """Raised on purpose by this package, or by the system about a file, or by a service about its account."""
    if isinstance(error, (OSError, MisconfigurationException)) or type(error).__module__ in _SERVICES:
        return True
    if not isinstance(error, (ValueError, TypeError, KeyError, ModuleNotFoundError)):
        return False
    origin = traceback.extract_tb(error.__traceback__)[-1]
    return Path(origin.filename).is_relative_to(_PACKAGE) and (origin.line or "").startswith("raise ")


def _is_lost_peer(error: Exception) -> bool:
    """While the processes meet the error has a type of its own, later only its text tells."""
    if not dist.is_available() or not isinstance(error, RuntimeError):
        return False
    is_connected = dist.is_initialized() and dist.get_world_size() > 1
    return isinstance(error, dist.DistError) or (
        is_connected and any(word in str(error).lower() for word in _LOST_PEER)
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _say(name: str, message: object) -> None:
    print(f"{name}: {' '.join(str(message).split())}", file=sys.stderr, flush=True)
