from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

settings.register_profile("mtl", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("mtl")
# The tensors of the tests are tiny: more threads only wait for each other.
torch.set_num_threads(1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Function]) -> None:
    """Mark the cases of a test marked `sampled(n)` as slow, except a fixed sample.

    A case is in the sample if its place in the list of cases is a multiple of n, counted from 0.
    Of a test with several lists the places are added: a value of one list is then in the sample
    if another list has n values or more. Parametrised fixtures are not supported.
    """
    for item in items:
        if mark := item.get_closest_marker("sampled"):
            lists = list(item.iter_markers("parametrize"))
            number = max(item.callspec.indices.values())  # of the case; the last list changes first
            places = 0
            for cases in reversed(lists):
                number, place = divmod(number, len(cases.args[1]))
                places += place
            if places % mark.args[0]:
                item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Set the cache of corpora to a folder of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MTL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(1)
