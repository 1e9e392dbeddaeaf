"""Each test here draws few examples, the same in every run; under ``-m deep`` it draws many others."""

import pytest

from support import depth


def pytest_configure(config):
    words = (config.option.markexpr or "").replace("not deep", "")
    depth.deep = "deep" in words


def pytest_generate_tests(metafunc):
    many = pytest.param("many", marks=[pytest.mark.deep, pytest.mark.timeout(3600)])
    # What is deep anyway draws nothing.
    draws = metafunc.definition.get_closest_marker("deep") is None
    metafunc.parametrize("drawn", ["few", many] if draws else [many], indirect=True)


@pytest.fixture(autouse=True)
def drawn(request):
    """Which of both it is; the tests are decorated with ``examples``, which knows."""
    return request.param
