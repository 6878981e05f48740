"""Which trajectories of mdCATH are wanted: chosen by the statistics in its source file."""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import h5py

from torchmdnet.datasets.validation import DatasetError

__all__ = ["MDCATHCriteria", "Trajectory", "select_trajectories"]

OPTIONS = {
    "max_atoms": "numAtoms",
    "max_heavy_atoms": "numNoHAtoms",
    "max_residues": "numResidues",
    "temperatures": "temperatures",
    "domains": "pdb_list",
    "min_gyration_radius": "min_gyration_radius",
    "max_gyration_radius": "max_gyration_radius",
    "min_alpha_beta_coil": "alpha_beta_coil",
    "min_solid": "solid_ss",
    "min_frames": "numFrames",
}
"""Criteria by the names that users give them."""


class Trajectory(NamedTuple):
    """One simulation."""

    domain: str
    """Name of the protein domain."""
    temperature: str
    """In kelvin."""
    replica: str


class MDCATHCriteria(NamedTuple):
    """What a trajectory must fulfil; None: anything goes. Bounds are met by equal values."""

    max_atoms: int | None
    max_heavy_atoms: int | None
    max_residues: int | None
    temperatures: tuple[str, ...]
    domains: tuple[str, ...] | None
    min_gyration_radius: float | None
    """In nm, of every frame."""
    max_gyration_radius: float | None
    """In nm, of every frame."""
    min_alpha_beta_coil: tuple[float, float, float] | None
    """Residues in helices, in sheets and in neither, % each, at the beginning."""
    min_solid: float | None
    """Residues in helices and sheets together, %, at the beginning."""
    min_frames: int | None

    def fits_domain(self, attributes: Mapping[str, Any]) -> bool:
        """Whether a domain with these attributes is small enough."""
        return (
            _at_most(attributes, "numProteinAtoms", self.max_atoms)
            and _at_most(attributes, "numNoHAtoms", self.max_heavy_atoms)
            and _at_most(attributes, "numResidues", self.max_residues)
        )

    def fits_trajectory(self, attributes: Mapping[str, Any]) -> bool:
        """Whether a trajectory with these attributes is wanted."""
        least = self.min_alpha_beta_coil or (None, None, None)
        return (
            _at_least(attributes, "numFrames", self.min_frames)
            and _at_least(attributes, "min_gyration_radius", self.min_gyration_radius)
            and _at_most(attributes, "max_gyration_radius", self.max_gyration_radius)
            and all(_at_least(attributes, *pair) for pair in zip(("alpha", "beta", "coil"), least, strict=True))
            and (self.min_solid is None or attributes["alpha"] + attributes["beta"] >= self.min_solid)
        )


def select_trajectories(source: Path, criteria: MDCATHCriteria) -> list[Trajectory]:
    """Trajectories in the order of their names.

    The file has a group a domain with attributes numProteinAtoms, numNoHAtoms and numResidues; in it a group a
    temperature and in that a group a replica, with attributes numFrames, min_gyration_radius, max_gyration_radius,
    alpha, beta and coil.

    Raises:
        ValueError: a domain that is asked for by name is not in the file.
        DatasetError: the file cannot be read or has another layout, or nothing fulfils the criteria.
    """
    try:
        opened = h5py.File(source, "r")
    except OSError as error:
        raise DatasetError(f"MDCATH: {source} cannot be read as an HDF5 file: {error}") from error
    with opened:
        try:
            chosen = list(_choose(opened, criteria))
        except KeyError as error:
            raise DatasetError(f"MDCATH: {source} has not the layout of mdcath_source.h5: {error.args[0]}") from error
    if not chosen:
        asked = ", ".join(
            f"{OPTIONS[name]}: {value}" for name, value in criteria._asdict().items() if value is not None
        )
        raise DatasetError(f"MDCATH: no trajectory in {source.name} fulfils {asked}; ask for less")
    return chosen


def _choose(source: Any, criteria: MDCATHCriteria) -> Iterator[Trajectory]:
    names = sorted(source) if criteria.domains is None else criteria.domains
    for name in names:
        if name not in source:
            close = difflib.get_close_matches(name, list(source), n=1)
            meant = f"; did you mean '{close[0]}'?" if close else ""
            raise ValueError(f"MDCATH: pdb_list: there is no domain '{name}' among the {len(source)} of mdCATH{meant}")
        domain = source[name]
        if not criteria.fits_domain(domain.attrs):
            continue
        for temperature in criteria.temperatures:
            # Not every domain was simulated at every temperature
            replicas = domain.get(temperature, {})
            for replica in sorted(replicas):
                # A replica without attributes is one whose simulation failed
                attributes = replicas[replica].attrs
                if "numFrames" in attributes and criteria.fits_trajectory(attributes):
                    yield Trajectory(name, temperature, replica)


def _at_most(attributes: Mapping[str, Any], name: str, limit: float | None) -> bool:
    return limit is None or bool(attributes[name] <= limit)


def _at_least(attributes: Mapping[str, Any], name: str, limit: float | None) -> bool:
    return limit is None or bool(attributes[name] >= limit)
