"""What scripted models hold in memory: bytes of tensors, counted as they come and go."""

import pytest
import torch
from small_models import small_model
from torch import Tensor

from torchmdnet.models import use_radial_tables
from torchmdnet.ops import native
from torchmdnet.potential import graph_memory
from torchmdnet.potential.tracing import trace_any_size

pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated:DeprecationWarning"),
    pytest.mark.skipif(not native.AVAILABLE, reason="needs the native ops"),
]

NUM_ATOMS, CHANNELS, NUM_LAYERS = 40, 32, 4


def scripted(most: int, monkeypatch: pytest.MonkeyPatch) -> torch.jit.ScriptModule:
    """A transformer that keeps what it can for up to so many atoms."""
    monkeypatch.setattr(graph_memory, "MOST_KEPT", most)
    monkeypatch.setattr(graph_memory, "MOST_PROJECTED", most)
    model = small_model("equivariant-transformer", embedding_dimension=CHANNELS, num_layers=NUM_LAYERS, derivative=True)
    use_radial_tables(model)
    script: torch.jit.ScriptModule = torch.jit.script(model)
    return script


def atoms() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    pos = 4 * torch.randn(NUM_ATOMS, 3, generator=generator, dtype=torch.float64)
    return torch.randint(1, 10, (NUM_ATOMS,), generator=generator), pos


def most_bytes(script: torch.jit.ScriptModule) -> int:
    """Bytes of all tensors that a call makes, when they are most."""
    for _ in range(2):  # TorchScript looks at these calls, and compiles
        script(*atoms())
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        script(*atoms())
    found = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = most = 0
    for event in sorted(found, key=lambda event: event.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return most


def test_what_is_computed_again_has_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = (scripted(most, monkeypatch)(*atoms()) for most in (NUM_ATOMS, NUM_ATOMS - 1))
    for one, other in zip(few, many, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-13, atol=1e-13)


def test_many_atoms_keep_less(monkeypatch: pytest.MonkeyPatch) -> None:
    few, many = (most_bytes(scripted(most, monkeypatch)) for most in (NUM_ATOMS, NUM_ATOMS - 1))
    # Queries, keys and values are 5 C numbers an atom, products of the exchange 12 C. What one layer needs is there
    # either way, and what the last one keeps is gone before the derivative needs most.
    saved = (NUM_LAYERS - 2) * NUM_ATOMS * 17 * CHANNELS * 8
    assert few - many > saved


def test_sums_of_derivatives_take_no_new_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    text = scripted(0, monkeypatch).value_and_forces.isolated.code
    assert text.count("torch.add_(") >= 2 * (NUM_LAYERS - 1)


def test_a_graph_of_other_operations_stays_as_it_is() -> None:
    graph = trace_any_size(lambda x: x.sin() + x.cos(), torch.ones(7))
    before = graph.code
    graph_memory.keep_less(graph)
    assert graph.code == before
