"""``python -m torchmdnet``: print what is installed and what was built, for a report of a problem."""

import os
import platform
from importlib.metadata import version

import torch

from torchmdnet.ops import native


def cpu_ops() -> list[str]:
    """State of the native ops for the CPU: loaded or not and why, compiler, instruction sets."""
    if not native.AVAILABLE:
        return [native.STATUS]
    built, used = native.instruction_sets()
    compiler = native.build_record("CPU").get("compiler", "a compiler that was not written down")
    return [f"loaded from {native.LIBRARY}", f"built by {compiler}", f"for {built}; this machine uses {used}"]


def cuda_ops() -> list[str]:
    """State of the native ops for CUDA: built, loaded or not and why, compiler, architectures."""
    if not native.CUDA_LIBRARY.is_file():
        return [native.CUDA_STATUS]
    record = native.build_record("CUDA")
    state = f"loaded from {native.CUDA_LIBRARY}" if native.CUDA_AVAILABLE else native.CUDA_STATUS
    architectures = ", ".join(record.get("architectures", ["architectures that were not written down"]))
    return [state, f"built by {record.get('compiler', 'a compiler that was not written down')}", f"for {architectures}"]


def serves(architecture: str, capability: tuple[int, int]) -> bool:
    """Tell whether code that was compiled for an architecture, as in 9.0, 9.0a or 9.0+PTX, runs on a GPU."""
    number = architecture.removesuffix("+PTX")
    wanted = tuple(int(part) for part in number.rstrip("af").split("."))
    if number.endswith("a"):
        return capability == wanted
    is_later = architecture.endswith("+PTX") and not number.endswith("f") and capability >= wanted
    return is_later or (capability[0] == wanted[0] and capability >= wanted)


def gpus() -> list[str]:
    """Names and capabilities of the GPUs, and whether the native ops were compiled for them."""
    built = native.build_record("CUDA").get("architectures", [])
    rows = []
    for index in range(torch.cuda.device_count()):
        capability = torch.cuda.get_device_capability(index)
        served = not built or any(serves(architecture, capability) for architecture in built)
        name = f"{torch.cuda.get_device_name(index)}, {capability[0]}.{capability[1]}"
        rows.append(name if served else f"{name}: the native ops were NOT compiled for it; set TORCH_CUDA_ARCH_LIST")
    return rows or ["none"]


def main() -> None:
    """Print versions, the native ops, devices and threads."""
    rows = {
        "torchmdnet": [version("torchmdnet")],
        "torch": [f"{torch.__version__}, {f'CUDA {torch.version.cuda}' if torch.version.cuda else 'not for CUDA'}"],
        "python": [platform.python_version()],
        "platform": [platform.platform()],
        "CPU ops": cpu_ops(),
        "CUDA ops": cuda_ops(),
        "GPUs": gpus(),
        "CPU": [f"{torch.backends.cpu.get_cpu_capability()}, {os.cpu_count()} cores"],
        "threads": [f"{torch.get_num_threads()} (OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')})"],
    }
    for name, lines in rows.items():
        print(f"{name:<11} {lines[0]}")
        for line in lines[1:]:
            print(f"{'':<11} {line}")


if __name__ == "__main__":
    main()
