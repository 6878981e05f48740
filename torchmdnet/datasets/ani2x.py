"""ANI-2x: 9 million conformations of molecules with H, C, N, O, F, S and Cl, with energies and forces."""

from torchmdnet.datasets.ani_atomref import ANI2X_ATOMREF
from torchmdnet.datasets.ani_dataset import AniForces
from torchmdnet.datasets.ani_layout import AniLayout
from torchmdnet.datasets.published import PublishedFile

__all__ = ["ANI2X"]


class ANI2X(AniForces):
    """ANI-2x: H, C, N, O, F, S, Cl; ωB97X/6-31G(d). Samples have y and neg_dy.

    The file is ``raw/final_h5/ANI-2x-wB97X-631Gd.h5``. Arguments as of
    :class:`~torchmdnet.datasets.ani_dataset.AniForces`.

    Devereux et al., J. Chem. Theory Comput. 16, 4192 (2020), https://doi.org/10.1021/acs.jctc.0c00121.
    """

    files = (
        PublishedFile(
            "final_h5/ANI-2x-wB97X-631Gd.h5",
            "https://zenodo.org/records/10108942/files/ANI-2x-wB97X-631Gd.tar.gz",
            archive="ANI-2x-wB97X-631Gd.tar.gz",
            checksum="md5:cb1d9effb3d07fc1cc6ced7cd0b1e1f2",
        ),
    )
    layout = AniLayout(z="species", energy="energies", forces="forces")
    atomref = ANI2X_ATOMREF
