"""Reference energy of each element, learnt."""

from typing import Any

from torchmdnet.priors.atomref import DEFAULT_MAX_Z, Atomref

__all__ = ["LearnableAtomref"]


class LearnableAtomref(Atomref):
    """An :class:`Atomref` that starts at zero and is trained with the network.

    Args:
        max_z: length of the table.
        dataset: not used: the table is learnt.
    """

    def __init__(self, max_z: int = DEFAULT_MAX_Z, dataset: Any = None) -> None:
        super().__init__(max_z=max_z, trainable=True)

    def get_init_args(self) -> dict[str, Any]:
        """Arguments that make the same prior again; the table itself is part of the state."""
        return {"max_z": self.initial_atomref.shape[0]}
