"""Whether a data set holds what the options of a run ask of it; told before training starts."""

import warnings
from collections.abc import Mapping
from typing import Any

from torchmdnet.datasets import DatasetError
from torchmdnet.outputs import OUTPUTS

__all__ = ["check_data", "check_test_data"]

NAMED_AT_MOST = 5


def check_data(dataset: Any, options: Mapping[str, Any]) -> None:
    """Compare fields and atomic numbers with the options of a training run.

    Raises:
        DatasetError: a label, charge or spin that the options need is missing, or an atomic number is too large.
    """
    _check_inputs(dataset, options)
    _check_references(dataset, options)
    fields = dataset.fields
    derivative = options["derivative"]
    if derivative and options["neg_dy_weight"] > 0 and "neg_dy" not in fields:
        raise DatasetError(
            f"derivative: true with neg_dy_weight: {options['neg_dy_weight']}, but the data set {dataset.name} has no "
            f"forces ({_listed(fields)}); set neg_dy_weight: 0 to train on energies alone"
        )
    if options["stress_weight"] > 0 and "stress" not in fields:
        raise DatasetError(
            f"stress_weight: {options['stress_weight']}, but the data set {dataset.name} has no stress "
            f"({_listed(fields)})"
        )
    labels = OUTPUTS[options["output_model"]].labels
    if not {*labels} & {*fields} and options["y_weight"] > 0 and not (derivative and "neg_dy" in fields):
        what = "energies" if labels == ("y",) else f"{' or '.join(labels)} for {options['output_model']}"
        raise DatasetError(f"y_weight: {options['y_weight']}, but the data set {dataset.name} has no {what}")
    if not {*labels} & {*fields} and options["y_weight"] > 0:
        what = "energies" if labels == ("y",) else " or ".join(labels)
        warnings.warn(
            f"the data set {dataset.name} has no {what}: y_weight: {options['y_weight']} has no effect, training is on "
            "forces alone; y_weight: 0 says so",
            stacklevel=2,
        )
    if options["standardize"] and "y" not in fields:
        raise DatasetError(f"standardize: true, but the data set {dataset.name} has no energies ({_listed(fields)})")


def check_test_data(dataset: Any, options: Mapping[str, Any]) -> None:
    """Compare fields and atomic numbers with the options of a trained model; any label will do.

    Raises:
        DatasetError: there is nothing to compare predictions with, a charge or spin that the model reads is missing, or
            an atomic number is too large.
    """
    _check_inputs(dataset, options)
    labels = [*OUTPUTS[options["output_model"]].labels, *(["neg_dy", "stress"] if options["derivative"] else [])]
    if not {*labels} & {*dataset.fields}:
        raise DatasetError(
            f"the data set {dataset.name} has none of the labels that the model's predictions compare with, "
            f"{', '.join(labels)} ({_listed(dataset.fields)})"
        )


def _check_inputs(dataset: Any, options: Mapping[str, Any]) -> None:
    """What the model reads."""
    fields = dataset.fields
    for option, field, what in (("charge", "q", "charges"), ("spin", "s", "spins")):
        if options[option] and field not in fields:
            raise DatasetError(f"{option}: true, but the data set {dataset.name} has no {what} ({_listed(fields)})")
    _check_elements(dataset, options["max_z"])


def _check_references(dataset: Any, options: Mapping[str, Any]) -> None:
    """That there is something to remove references from."""
    if not options["remove_ref_energy"]:
        return
    if not OUTPUTS[options["output_model"]].allow_prior_model:
        raise DatasetError(
            f"remove_ref_energy: true, but {options['output_model']} gives no energies: use remove_ref_energy: false"
        )
    if "y" not in dataset.fields:
        raise DatasetError(
            f"remove_ref_energy: true, but the data set {dataset.name} has no energies to remove them from "
            f"({_listed(dataset.fields)}): use remove_ref_energy: false"
        )


def _check_elements(dataset: Any, max_z: int) -> None:
    frames = dataset.frames_with_element_from(max_z)
    if frames:
        names = "; ".join(dataset.frame_name(frame) for frame in frames[:NAMED_AT_MOST])
        others = f" and {len(frames) - NAMED_AT_MOST} more" if len(frames) > NAMED_AT_MOST else ""
        largest = max(int(dataset[frame].z.max()) for frame in frames[:1000])
        raise DatasetError(
            f"max_z: {max_z} allows atomic numbers up to {max_z - 1}, but there is {largest} in the data; "
            f"raise max_z to {largest + 1}: {names}{others}"
        )


def _listed(fields: tuple[str, ...]) -> str:
    return f"it has {', '.join(fields)}"
