"""Physics of known form that is added to what the network learns, one prior a file."""

from torchmdnet.priors.atomref import Atomref
from torchmdnet.priors.atomref_fit import fit_atomref
from torchmdnet.priors.base import BasePrior
from torchmdnet.priors.coulomb import Coulomb
from torchmdnet.priors.d2 import D2
from torchmdnet.priors.d3 import D3
from torchmdnet.priors.ewald import Ewald
from torchmdnet.priors.learnable_atomref import LearnableAtomref
from torchmdnet.priors.registry import PRIORS, resolve_prior
from torchmdnet.priors.zbl import ZBL

__all__ = [
    "D2",
    "D3",
    "PRIORS",
    "ZBL",
    "Atomref",
    "BasePrior",
    "Coulomb",
    "Ewald",
    "LearnableAtomref",
    "fit_atomref",
    "resolve_prior",
]
