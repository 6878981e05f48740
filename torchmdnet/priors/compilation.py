"""Where compiled code ends."""

import torch

__all__ = ["leave_compiled_code"]


def leave_compiled_code(reason: str) -> None:
    """Have ``torch.compile`` leave what follows to Python, or say why it cannot where it was told ``fullgraph=True``.

    Unlike ``torch.compiler.disable`` it does not load the compiler, which takes a second, before it is needed.
    """
    if torch.compiler.is_compiling():
        torch._dynamo.graph_break(msg=reason)
