"""ANI-1x: 5 million conformations chosen by active learning, with energies and forces."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from torchmdnet.datasets.ani_atomref import ANI1X_ATOMREF
from torchmdnet.datasets.ani_dataset import AniForces
from torchmdnet.datasets.ani_layout import AniLayout
from torchmdnet.datasets.frames import Frames
from torchmdnet.datasets.published import PublishedFile
from torchmdnet.datasets.selection import with_labels

__all__ = ["ANI1X"]


class ANI1X(AniForces):
    """ANI-1x: H, C, N, O; up to 63 atoms; ωB97X/6-31G(d). Samples have y and neg_dy.

    The file is ``raw/ani1x-release.h5``. Frames for which an energy or a force was not computed are left out.
    Arguments as of :class:`~torchmdnet.datasets.ani_dataset.AniForces`.

    Smith et al., Sci. Data 7, 134 (2020), https://doi.org/10.1038/s41597-020-0473-z.
    """

    files = (
        PublishedFile(
            "ani1x-release.h5",
            "https://ndownloader.figshare.com/files/18112775",
            checksum="md5:98090dd6679106da861f52bed825ffb7",
            size=5590846027,  # as figshare states for article 10047041
        ),
    )
    layout = AniLayout(z="atomic_numbers", energy="wb97x_dz.energy", forces="wb97x_dz.forces")
    atomref = ANI1X_ATOMREF

    @classmethod
    def read(cls, paths: Sequence[Path]) -> Iterator[Frames]:
        """Blocks of the frames that have all labels."""
        return with_labels(super().read(paths))
