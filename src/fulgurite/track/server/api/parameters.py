"""Parameters that several addresses have in common, as they are declared."""

from fulgurite.track.server.api.described import Parameter, many, whole

CHOICE: dict[str, Parameter] = {
    "search": Parameter("words that must all occur in name, id, tags, notes, group, job type or sweep"),
    "filter": many("`COLUMN OPERATOR VALUE`; all must hold"),
    "sort": many("a column, falling with a `-` before it; the newest are first without one"),
    "group": many("a column: runs with the same values stand together"),
}
LINES: dict[str, Parameter] = {
    "key": many("what to draw"),
    "buckets": whole("how many points at most", 1000),
    "x": Parameter("the axis: `_step`, or any key", str, "_step"),
    "low": Parameter("where the part of the axis begins that is in sight", float),
    "high": Parameter("where it ends", float),
    "after": many("a step for each run: only what was logged behind it"),
    "group": many("a word for each run: the runs of one word become one line"),
    "stream": Parameter("`history`, or `system` for metrics of the machine", str, "history"),
}
