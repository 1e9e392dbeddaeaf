"""What the tests of WandbLogger share: no run and no client of one reaches the next, and a server of their own."""

import pytest

from support.wandb_stub import KEY, wandb_stub


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


@pytest.fixture
def server(monkeypatch):
    """A server on this machine, the one that the client speaks to."""
    import wandb

    with wandb_stub() as server:
        monkeypatch.delenv("WANDB_MODE")
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        wandb.teardown()  # the client reads its settings once
        yield server
        while wandb.run is not None:
            wandb.finish()
        wandb.teardown()
