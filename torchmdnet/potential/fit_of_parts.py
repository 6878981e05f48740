"""Whether a representation and a head make a potential."""

from torchmdnet.models import MODELS
from torchmdnet.models.atom_filter import AtomFilter
from torchmdnet.nn.representation import Representation
from torchmdnet.outputs.output_model import OutputModel

__all__ = ["check_differentiable", "check_fit"]


def check_fit(representation: Representation, head: OutputModel, *, has_mean: bool) -> None:
    """Refuse a head that asks for features that the representation does not have, or that is no energy where it must.

    Args:
        representation: Gives every atom its features.
        head: Reads them.
        has_mean: Whether a number is added to each value.

    Raises:
        ValueError: They do not fit together; the message names what does.
    """
    model, name = type(representation).__name__, type(head).__name__
    if head.needs_vectors and not representation.is_equivariant:
        raise ValueError(
            f"{name} reads vector features, {model} has none: use the equivariant-transformer, or a head without "
            "vectors"
        )
    if head.needs_charges and not representation.predicts_charges:
        users = [key for key, cls in MODELS.items() if cls.predicts_charges]
        raise ValueError(
            f"{name} reads charges, {model} predicts none: use {', '.join(users)} with q_dim >= 1, or another head"
        )
    if representation.gives_energies and not type(head).allow_prior_model:
        raise ValueError(
            f"{name} is no energy, which the repulsion of {model} adds to: use repulsion: false, or another head"
        )
    if has_mean and not head.is_differentiable:
        raise ValueError(f"{name} is a vector, to which no mean can be added: use standardize: false")


def check_differentiable(representation: Representation, head: OutputModel) -> None:
    """Refuse parts whose value has no forces.

    Raises:
        ValueError: Atoms are dropped, or the value is a vector.
    """
    if isinstance(representation, AtomFilter):
        raise ValueError("atom_filter drops atoms, so that forces are not defined: use derivative=False")
    if not head.is_differentiable:
        raise ValueError(f"{type(head).__name__} has several values: forces are not defined, use derivative=False")
