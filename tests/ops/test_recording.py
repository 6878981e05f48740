import pytest
import torch

from torchmdnet.ops.recording import is_captured, is_recorded


def test_nothing_is_recorded_by_a_call() -> None:
    assert not is_recorded(torch.zeros(1))


def test_what_is_compiled_is_recorded() -> None:
    def marked(x: torch.Tensor) -> torch.Tensor:
        return x + 1 if is_recorded(x) else x

    torch.compiler.reset()
    compiled = torch.compile(marked, fullgraph=True, backend="eager")
    assert compiled(torch.zeros(1)).item() == 1


@pytest.mark.gpu
def test_what_is_captured_is_recorded() -> None:
    x, graph = torch.zeros(1, device="cuda"), torch.cuda.CUDAGraph()
    assert not is_captured(x)
    with torch.cuda.graph(graph):
        y = x + 1 if is_captured(x) and is_recorded(x) else x
    graph.replay()
    assert y.item() == 1
    assert not is_captured(torch.zeros(1))
