"""Results of native ops that are large have somewhat more memory than they need, which nobody notices."""

from itertools import pairwise

import pytest
import torch

from torchmdnet.ops import native
from torchmdnet.ops.part_norms import part_norms, part_norms_reference
from torchmdnet.ops.tensor_mix import tensor_mix

pytestmark = pytest.mark.skipif(not native.AVAILABLE, reason="needs the native ops")

MANY_NUMBERS = 1 << 18
STEP = 32
"""Numbers that a large result has more than the next one."""


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_have_the_numbers_of_the_reference(dtype: torch.dtype) -> None:
    x = torch.randn((9, 700, 128), generator=torch.Generator().manual_seed(1), dtype=dtype)
    found, wanted = part_norms(x), part_norms_reference(x)
    assert found.numel() >= MANY_NUMBERS
    assert found.is_contiguous()
    torch.testing.assert_close(found, wanted)


def test_get_smaller_from_one_to_the_next() -> None:
    x = torch.randn((9, 700, 128), generator=torch.Generator().manual_seed(1))
    sizes = [part_norms(x).untyped_storage().nbytes() // 4 for _ in range(8)]
    steps = [first - second for first, second in pairwise(sizes)]
    # Once in 1024 times they start again from the largest.
    assert sum(step == STEP for step in steps) >= len(steps) - 1
    assert min(sizes) >= 3 * 700 * 128


def test_two_results_share_no_memory() -> None:
    x = torch.randn((9, 300, 128), generator=torch.Generator().manual_seed(1))
    normal, mixed = tensor_mix(x, [torch.eye(128)] * 3)
    assert normal.untyped_storage().data_ptr() != mixed.untyped_storage().data_ptr()
    torch.testing.assert_close(mixed, normal)


def test_small_results_have_what_they_need() -> None:
    x = torch.ones(9, 5, 16)
    assert part_norms(x).untyped_storage().nbytes() == 3 * 5 * 16 * 4
