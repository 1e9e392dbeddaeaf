"""How many examples a fuzzing test draws: few and the same ones by default, many and new ones under ``-m slow``."""

from hypothesis import HealthCheck, settings

FEW, MANY = 25, 2000
deep = False


def examples(cost: int = 1) -> settings:
    """A decorator for a test of which one example takes ``cost`` times as long as a cheap one."""
    count = max((MANY if deep else FEW) // cost, 5)
    unhurried = [
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
        HealthCheck.function_scoped_fixture,
    ]
    return settings(max_examples=count, deadline=None, derandomize=not deep, suppress_health_check=unhurried)
