"""Plot of predictions against labels."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from torchmdnet.training.evaluation import EvaluationResult, Samples

__all__ = ["plot_parity"]

MAX_POINTS = 20_000
"""Points drawn of each kind; more only make the file large."""


def plot_parity(results: Mapping[str, EvaluationResult], path: Path) -> None:
    """Write a PNG with a panel for the energies per atom and one for the force components.

    Args:
        results: By name of the set of frames; each has its colour.
        path: The file.
    """
    unit, length = next(((result.energy_unit, result.length_unit) for result in results.values()), ("eV", "Å"))
    kinds = {f"energy per atom, less the references ({unit})": "energy", f"force component ({unit}/{length})": "forces"}
    shown = {
        title: {name: getattr(result, kind) for name, result in results.items() if len(getattr(result, kind).label)}
        for title, kind in kinds.items()
    }
    shown = {title: samples for title, samples in shown.items() if samples}
    if not shown:
        return
    figure = Figure(figsize=(4.5 * len(shown), 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, samples) in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown.items(), strict=True):
        _panel(axes, samples, title=title)
    figure.savefig(path, dpi=150)


def _panel(axes: Axes, samples: Mapping[str, Samples], *, title: str) -> None:
    everything = np.concatenate([array for pairs in samples.values() for array in pairs])
    low, high = float(everything.min()), float(everything.max())
    margin = 0.05 * (high - low) or 1.0
    limits = (low - margin, high + margin)
    axes.plot(limits, limits, color="0.7", linewidth=1, zorder=0)
    for name, (label, prediction) in samples.items():
        every = max(1, len(label) // MAX_POINTS)
        axes.plot(label[::every], prediction[::every], ".", markersize=3, alpha=0.5, label=name)
    axes.set(xlim=limits, ylim=limits, aspect="equal", title=title, xlabel="label", ylabel="prediction")
    axes.legend()
