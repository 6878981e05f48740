"""Stores of read-only sources are kept out of the user's cache."""

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def cache_of_the_test_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One cache for all tests of the session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHMDNET_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
