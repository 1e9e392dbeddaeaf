"""Sweeps as the client sees them, and what it changes of them."""

from collections.abc import Callable
from typing import Any

from fulgurite.track.wire.graphql import Node
from fulgurite.track.wire.schema.context import Context


class ProjectSweeps(Node):
    """What can be asked about a project's sweeps."""


class RunSweeps(Node):
    """What can be asked about a run's sweeps."""


class SweepQueries(Node):
    """What can be asked about sweeps from the top."""


class SweepEdits(Node):
    """Mutations of sweeps."""


TYPES: dict[str, Callable[[Context, Any], Any]] = {}
