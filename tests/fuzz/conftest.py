"""Each test here draws few examples, the same in every run; under ``-m deep`` it draws many others."""

import pytest

from support import depth


def pytest_configure(config):
    words = (config.option.markexpr or "").replace("not deep", "")
    depth.deep = "deep" in words


@pytest.fixture(autouse=True, params=["few", pytest.param("many", marks=[pytest.mark.deep, pytest.mark.timeout(3600)])])
def drawn(request):
    """Which of both it is; the tests are decorated with ``examples``, which knows."""
    return request.param
