"""COMP6 v2: the benchmark of ANI-2x."""

from torchmdnet.datasets.ani2x import ANI2X
from torchmdnet.datasets.published import PublishedFile

__all__ = ["COMP6v2"]


class COMP6v2(ANI2X):
    """COMP6 v2: H, C, N, O, F, S, Cl; up to 312 atoms; ωB97X/6-31G(d). Samples have y and neg_dy.

    The file is ``raw/comp6v2_final_h5/COMP6v2_wB97X-631Gd.h5``, in the layout of ANI-2x: unlike those of COMP6 v1, its
    forces are forces. Arguments as of :class:`~torchmdnet.datasets.ani_dataset.AniForces`.

    Published as https://doi.org/10.5281/zenodo.10126157.
    """

    files = (
        PublishedFile(
            "comp6v2_final_h5/COMP6v2_wB97X-631Gd.h5",
            "https://zenodo.org/records/10126157/files/COMP6v2_wB97X-631Gd.tar.gz",
            archive="COMP6v2_wB97X-631Gd.tar.gz",
            checksum="md5:0a417148966022e72f54c135d8f3d4e7",
        ),
    )
