"""MACE-OFF: the training set of the MACE-OFF23 force fields, neutral organic molecules mostly from SPICE."""

from collections.abc import Callable
from pathlib import Path

from torch_geometric.data import Data

from torchmdnet.datasets.maceoff_layout import read_maceoff
from torchmdnet.datasets.published import PublishedDataset, PublishedFile
from torchmdnet.datasets.selection import check_force_limit, within_force_limit

__all__ = ["MACEOFF", "VERSIONS"]

VERSIONS: dict[str, PublishedFile] = {
    "1.0": PublishedFile(
        "maceoff/1.0/train_large_neut_no_bad_clean.xyz",
        "https://api.repository.cam.ac.uk/server/api/core/bitstreams/b185b5ab-91cf-489a-9302-63bfac42824a/content",
        archive="maceoff/1.0/train_large_neut_no_bad_clean.tar.gz",
        mirror="https://www.repository.cam.ac.uk/bitstreams/b185b5ab-91cf-489a-9302-63bfac42824a/download",
    ),
}
"""The file of each version."""


class MACEOFF(PublishedDataset):
    """MACE-OFF: H, C, N, O, F, P, S, Cl, Br, I, neutral; ωB97M-D3(BJ)/def2-TZVPPD. Samples have y (eV), neg_dy (eV/Å).

    951,005 frames. Kovács et al., https://arxiv.org/abs/2312.15211; data https://doi.org/10.17863/CAM.107498.

    Args:
        root: folder of the data set; the file is ``raw/maceoff/1.0/train_large_neut_no_bad_clean.tar.gz``, or what is
            in that archive, beside it.
        version: see ``VERSIONS``.
        max_gradient: leave out frames with a longer force on an atom (eV/Å). None: leave out none.
        transform, pre_transform, pre_filter: as of :class:`~torchmdnet.datasets.published.PublishedDataset`.

    Raises:
        ValueError: the version is unknown, or ``max_gradient`` is not a positive number.
        FileNotFoundError: the file is not there and cannot be fetched.
        DatasetError: the file has faults.
    """

    def __init__(
        self,
        root: str | Path,
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        pre_filter: Callable[[Data], bool] | None = None,
        version: str = "1.0",
        max_gradient: float | None = None,
    ) -> None:
        # YAML reads 1.0 as a number
        file = VERSIONS.get(str(version))
        if file is None:
            raise ValueError(f"MACEOFF: version {str(version)!r} is none of {', '.join(VERSIONS)}")
        limit = check_force_limit("MACEOFF", max_gradient)
        super().__init__(
            root,
            [file],
            lambda paths: within_force_limit(read_maceoff(paths[0]), limit),
            arguments={"version": str(version), "max_gradient": limit},
            transform=transform,
            pre_transform=pre_transform,
            pre_filter=pre_filter,
        )
