"""ANI-1: 20 million conformations of small organic molecules away from equilibrium, energies only."""

from torchmdnet.datasets.ani_atomref import ANI1_ATOMREF
from torchmdnet.datasets.ani_dataset import AniDataset
from torchmdnet.datasets.ani_layout import AniLayout
from torchmdnet.datasets.published import PublishedFile

__all__ = ["ANI1"]

URL = "https://ndownloader.figshare.com/files/9057631"
ARCHIVE = "ANI1_release.tar.gz"


class ANI1(AniDataset):
    """ANI-1: H, C, N, O; up to 8 heavy atoms; ωB97X/6-31G(d). Samples have y.

    The files are ``raw/ANI-1_release/ani_gdb_s01.h5`` to ``ani_gdb_s08.h5``, one for each number of heavy atoms. The
    conformations of high energy, which the files keep apart, are left out. Arguments as of
    :class:`~torchmdnet.datasets.ani_dataset.AniDataset`.

    Smith, Isayev, Roitberg, Sci. Data 4, 170193 (2017), https://doi.org/10.1038/sdata.2017.193.
    """

    files = tuple(PublishedFile(f"ANI-1_release/ani_gdb_s{size:02d}.h5", URL, archive=ARCHIVE) for size in range(1, 9))
    layout = AniLayout(z="species", energy="energies")
    atomref = ANI1_ATOMREF
