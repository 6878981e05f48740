"""``python -m torchmdnet``: print what is installed, for a report of a problem."""

import os
import platform
from importlib.metadata import version

import torch

from torchmdnet.ops import native


def main() -> None:
    """Print versions, the native ops, devices and threads."""
    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    rows = {
        "torchmdnet": version("torchmdnet"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "native ops": native.STATUS,
        "GPUs": ", ".join(devices) or "none",
        "CPU": f"{torch.backends.cpu.get_cpu_capability()}, {os.cpu_count()} cores",
        "threads": f"{torch.get_num_threads()} (OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')})",
    }
    for name, value in rows.items():
        print(f"{name:<11} {value}")


if __name__ == "__main__":
    main()
