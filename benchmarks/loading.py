"""How fast batches leave the memory-mapped store: python benchmarks/loading.py [--frames 20000].

Prints frames and milliseconds a batch for molecules of 15 atoms in batches of 16 (a small training set that fits the
cache) and for molecules of about 18 atoms in batches of 128 (the size of QM9), beside collating the same samples one by
one, which is what loaders commonly do.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import torch
from torch_geometric.data import Batch

from torchmdnet.datasets import HDF5
from torchmdnet.training.data import DataModule


def write_molecules(path: Path, *, num_frames: int, sizes: range) -> Path:
    """An HDF5 file of molecules of several sizes with energies and forces."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as output:
        for size in sizes:
            count = num_frames // len(sizes)
            group = output.create_group(str(size))
            spread = np.arange(size)[None, :, None] * 1.3
            group["pos"] = (spread + 0.1 * rng.normal(size=(count, size, 3))).astype(np.float32)
            group["types"] = rng.choice([1, 6, 7, 8], size=(count, size))
            group["energy"] = rng.normal(size=count)
            group["forces"] = rng.normal(size=(count, size, 3)).astype(np.float32)
    return path


def loader_batches(path: Path, folder: str, *, batch_size: int, num_workers: int) -> Callable[[], Iterator[Batch]]:
    """The training loader of a run."""
    options = {"dataset": "HDF5", "dataset_root": str(path), "val_size": 0, "test_size": 0, "log_dir": folder}
    data = DataModule(options | {"batch_size": batch_size, "num_workers": num_workers})
    data.setup("fit")
    return lambda: iter(data.train_dataloader())


def collated_batches(dataset: HDF5, *, batch_size: int) -> Iterator[Batch]:
    """One sample after the other, then joined."""
    order = np.random.default_rng(0).permutation(len(dataset))[:2048]
    for start in range(0, len(order), batch_size):
        yield Batch.from_data_list([dataset[int(index)] for index in order[start : start + batch_size]])


def report(name: str, batches: Iterator[Batch]) -> None:
    """Time one pass."""
    start, num_batches, num_frames = time.perf_counter(), 0, 0
    for batch in batches:
        num_batches += 1
        num_frames += batch.num_graphs
    seconds = time.perf_counter() - start
    print(f"{name:<44}{num_frames / seconds:>12,.0f} frames/s{1000 * seconds / num_batches:>10.3f} ms/batch")


def main() -> None:
    """Write, build, read."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=20000)
    num_frames = parser.parse_args().frames
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        cases = [
            ("15 atoms, batch 16", 500, range(15, 16), 16),
            ("9-27 atoms, batch 128", num_frames, range(9, 28), 128),
        ]
        for name, count, sizes, batch_size in cases:
            path = write_molecules(Path(folder) / f"{sizes.start}.h5", num_frames=count, sizes=sizes)
            start = time.perf_counter()
            dataset = HDF5(path)
            print(f"{name}: store of {len(dataset)} frames built in {time.perf_counter() - start:.2f} s")
            for num_workers in (0, 1):
                loader = loader_batches(path, folder, batch_size=batch_size, num_workers=num_workers)
                report("  first epoch, " + f"{num_workers} workers", loader())
                report("  second epoch, " + f"{num_workers} workers", loader())
            report("  sample by sample", collated_batches(dataset, batch_size=batch_size))


if __name__ == "__main__":
    main()
