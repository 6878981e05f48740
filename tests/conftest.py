"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder with reference data and contract vectors, named by TORCHMDNET_TEST_DATA."""
    folder = os.environ.get("TORCHMDNET_TEST_DATA")
    if not folder:
        pytest.skip("TORCHMDNET_TEST_DATA is not set: reference data are not at hand")
    path = Path(folder)
    if not path.is_dir():
        raise FileNotFoundError(f"TORCHMDNET_TEST_DATA={folder} is not a folder")
    return path
