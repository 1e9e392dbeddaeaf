"""Artifacts as the client sees them, and what it changes of them."""

from collections.abc import Callable
from typing import Any

from fulgurite.track.wire.graphql import Node
from fulgurite.track.wire.schema.context import Context


class ProjectArtifacts(Node):
    """What can be asked about a project's artifacts."""


class RunArtifacts(Node):
    """What can be asked about a run's artifacts."""


class ArtifactQueries(Node):
    """What can be asked about artifacts from the top."""


class ArtifactEdits(Node):
    """Mutations of artifacts."""


TYPES: dict[str, Callable[[Context, Any], Any]] = {}
