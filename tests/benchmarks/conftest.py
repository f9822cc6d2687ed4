"""The benchmark is no part of the package; its modules are found from the repository's root."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))


@pytest.fixture
def root():
    """The repository."""
    return ROOT
