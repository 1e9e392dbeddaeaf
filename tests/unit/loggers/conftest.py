"""What the tests of WandbLogger share: no run and no client of one reaches the next."""

import pytest


@pytest.fixture
def no_run_stays_open():
    """Runs are open process-wide; none may reach the next test."""
    import wandb

    yield
    while wandb.run is not None:
        wandb.finish()


@pytest.fixture(scope="module")
def the_client_stops_at_the_end():
    """The client's background process ends with the file of tests."""
    import wandb

    yield
    wandb.teardown()
