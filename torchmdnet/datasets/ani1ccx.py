"""ANI-1ccx: the tenth of ANI-1x that has coupled-cluster energies."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from torchmdnet.datasets.ani1x import ANI1X
from torchmdnet.datasets.ani_atomref import ANI1CCX_ATOMREF
from torchmdnet.datasets.ani_dataset import AniDataset
from torchmdnet.datasets.ani_layout import AniLayout
from torchmdnet.datasets.frames import Frames
from torchmdnet.datasets.selection import with_labels

__all__ = ["ANI1CCX"]


class ANI1CCX(AniDataset):
    """ANI-1ccx: H, C, N, O; CCSD(T)*/CBS. Samples have y.

    The file is that of ANI-1x, ``raw/ani1x-release.h5``. Frames without a coupled-cluster energy are left out.
    Arguments as of :class:`~torchmdnet.datasets.ani_dataset.AniDataset`.

    Smith et al., Sci. Data 7, 134 (2020), https://doi.org/10.1038/s41597-020-0473-z.
    """

    files = ANI1X.files
    layout = AniLayout(z="atomic_numbers", energy="ccsd(t)_cbs.energy")
    atomref = ANI1CCX_ATOMREF

    @classmethod
    def read(cls, paths: Sequence[Path]) -> Iterator[Frames]:
        """Blocks of the frames that have an energy."""
        return with_labels(super().read(paths))
