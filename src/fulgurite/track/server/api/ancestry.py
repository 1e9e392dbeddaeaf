"""Where an artifact comes from and what came of it: runs and artifacts in turn, level by level."""

from typing import TypedDict

from fulgurite.track.server.api.artifact_shapes import ArtifactLinkShape, RunLinkShape, artifact_link, run_link
from fulgurite.track.store.artifacts import COMMITTED
from fulgurite.track.store.errors import NotFound
from fulgurite.track.store.lineage import INPUT, OUTPUT
from fulgurite.track.store.store import Store

MOST_NODES = 300

Node = tuple[str, int]  # "run" or "artifact", and the row number


class LineageNodeShape(TypedDict):
    """A run or an artifact. ``level`` is how many steps after (or with a minus before) the one that was asked for."""

    id: str
    level: int
    run: RunLinkShape | None
    artifact: ArtifactLinkShape | None


class LineageShape(TypedDict):
    """``edges`` are pairs of ids: a run and what it made, or an artifact and who used it.

    ``more`` tells that there is more than was asked for or can be told at once.
    """

    nodes: list[LineageNodeShape]
    edges: list[list[str]]
    more: bool


class Ancestry:
    """A walk over the lineage of a store from one artifact."""

    def __init__(self, store: Store, artifact: int) -> None:
        self._store = store
        self._levels: dict[Node, int] = {("artifact", artifact): 0}
        self._edges: dict[tuple[Node, Node], None] = {}
        self._more = False

    def walk(self, steps: int) -> LineageShape:
        """At most ``steps`` steps before and after it."""
        for direction in (-1, 1):
            self._go(direction, steps)
        nodes = [shape for node, level in self._levels.items() if (shape := self._shape(node, level)) is not None]
        known = {each["id"] for each in nodes}
        edges = [[_id(one), _id(other)] for one, other in self._edges]
        return {"nodes": nodes, "edges": [each for each in edges if known.issuperset(each)], "more": self._more}

    def _go(self, direction: int, steps: int) -> None:
        front = [next(iter(self._levels))]
        for step in range(1, steps + 2):
            following: list[Node] = []
            for node in front:
                for other in self._next(node, direction):
                    if other not in self._levels and (step > steps or len(self._levels) >= MOST_NODES):
                        self._more = True
                        continue
                    if other not in self._levels:
                        self._levels[other] = direction * step
                        following.append(other)
                    self._edges[(other, node) if direction < 0 else (node, other)] = None
            front = following

    def _next(self, node: Node, direction: int) -> list[Node]:
        """What is one step before (-1) or after (1) a node."""
        kind, id = node
        lineage = self._store.artifacts.lineage
        if kind == "artifact":
            return [("run", each) for each in (lineage.makers(id) if direction < 0 else lineage.users(id))]
        return [("artifact", each) for each in lineage.of(id, INPUT if direction < 0 else OUTPUT)]

    def _shape(self, node: Node, level: int) -> LineageNodeShape | None:
        """None for what has gone for good meanwhile."""
        kind, id = node
        try:
            if kind == "run":
                run = run_link(self._store.runs.by_id(id))
                return {"id": _id(node), "level": level, "run": run, "artifact": None}
            artifact = self._store.artifacts.by_id(id)
        except NotFound:
            return None
        if artifact.state != COMMITTED:
            return None
        return {"id": _id(node), "level": level, "run": None, "artifact": artifact_link(self._store, artifact)}


def _id(node: Node) -> str:
    return f"{node[0]}-{node[1]}"
