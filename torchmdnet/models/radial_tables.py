"""The switch between exact radial networks and tables of them."""

from torch import nn

from torchmdnet.nn.tabulated_layer import TabulatedRadial

__all__ = ["use_radial_tables", "use_radial_tables_if_exact"]

TOLERANCE = 1e-6


def use_radial_tables(model: nn.Module, *, tolerance: float = TOLERANCE, enabled: bool = True) -> int:
    """Let a trained model read what it knows of the distance from tables: several times faster, with little memory.

    Energies and forces then differ from the exact ones by about the tolerance; forces stay the exact derivative of the
    energy. The exact networks are back with ``enabled=False``, or when the model is trained or weights are loaded into
    it. Build tables after the model has its final type and weights; they move between devices with it.

    Args:
        model: A potential, an ensemble, or a representation. Messages of TensorNet2 read charges besides the distance:
            of their networks only the first layer has a table, which gains less. Graph networks with ``aggr='max'``
            have no tables and stay as they are.
        tolerance: Largest error of the tables, relative to their largest entries, for values and derivatives alike.
        enabled: Whether tables are used.

    Returns:
        How many radial networks are read from tables.

    Raises:
        ValueError: The model is in training mode, or the tolerance is out of range, or so small that no table keeps it.
    """
    count = 0
    for part in model.modules():
        if not isinstance(part, TabulatedRadial):
            continue
        if enabled and part.training:
            raise ValueError(
                "the model is in training mode, and tables are made of weights that no longer change: "
                "call model.eval() before use_radial_tables"
            )
        if enabled:
            part.build_radial_tables(tolerance)
            count += len(part.tabulated_layers())
        else:
            part.drop_radial_tables()
    return count


def use_radial_tables_if_exact(model: nn.Module) -> ValueError | None:
    """Use tables of the default tolerance, where they keep it, for those who asked for no tolerance.

    Returns:
        Why the exact networks are used instead; None where tables are, or where there is nothing to tabulate.
    """
    try:
        use_radial_tables(model)
    except ValueError as reason:
        use_radial_tables(model, enabled=False)
        return reason
    return None
