"""What is said of runs, side by side: a row for each name, a column for each run."""

from collections.abc import Mapping, Sequence
from typing import Any

from fulgurite.track.report.markup import Markup, h
from fulgurite.track.report.words import brief, duration, leaves, moment, number, size
from fulgurite.track.store.runs import Run
from fulgurite.track.store.store import Store

MOST_FILES = 200
LONGEST = 400  # letters of a cell
COLOURS = 10

Values = Mapping[str, Any]


def swatch(index: int) -> Markup:
    """The line with which run number ``index`` is drawn."""
    line = h("line", x1="1", x2="19", y1="6", y2="6", kind=f"c{index % COLOURS} d{index // COLOURS % 3}")
    return h("svg", line, viewBox="0 0 20 12", width="20", height="12", aria_hidden="true", kind="swatch")


def title_of(run: Run) -> str:
    return run.display_name or run.name


def runs_sheet(runs: Sequence[Run]) -> Markup:
    """Which runs these are."""
    head = ["Run", "State", "Started", "Duration", "Rows", "Tags", "Group", "Id"]
    many = len({run.project.id for run in runs}) > 1
    head += ["Project"] if many else []
    shown = [i for i, name in enumerate(head) if name not in ("Tags", "Group") or any(_of(run)[name] for run in runs)]
    rows = [
        h("tr", [_run_cell(run, i, head[column]) for column in shown], data_state=run.state)
        for i, run in enumerate(runs)
    ]
    labels = h("tr", [h("th", head[column], scope="col") for column in shown])
    return _scroll(h("table", h("thead", labels), h("tbody", rows), kind="runs"), "Runs")


def _of(run: Run) -> dict[str, Any]:
    return {
        "State": run.state,
        "Started": moment(run.created_at),
        "Duration": duration((run.ended_at or run.seen_at) - run.created_at),
        "Rows": number(run.row_count),
        "Tags": ", ".join(run.tags),
        "Group": run.group_name,
        "Id": run.name,
        "Project": f"{run.project.entity}/{run.project.name}",
    }


def _run_cell(run: Run, i: int, column: str) -> Markup:
    if column == "Run":
        return h("th", swatch(i), " ", h("a", title_of(run), href=f"#run-{i}"), scope="row")
    value = _of(run)[column]
    if column == "State":
        return h("td", h("span", value, kind="state", data_state=value))
    return h("td", value, kind="number" if column == "Rows" else None)


def config_sheets(runs: Sequence[Run]) -> list[Markup]:
    """What differs between the settings of several runs, and all of them."""
    values = [dict(leaves(run.config)) for run in runs]
    names = _names(values)
    differing = [name for name in names if len({brief(each.get(name)) for each in values}) > 1]
    if len(runs) == 1:
        return [sheet(runs, values, names, "Settings")] if names else [h("p", "Nothing was said.", kind="quiet")]
    told = (
        sheet(runs, values, differing, "Settings that differ, by run")
        if differing
        else h("p", "The settings are the same.", kind="quiet")
    )
    if not names:
        return [h("p", "Nothing was said.", kind="quiet")]
    whole = h(
        "details", h("summary", f"All settings ({len(names)})"), sheet(runs, values, names, "All settings, by run")
    )
    return [h("h3", "What differs"), told, whole]


def summary_sheet(runs: Sequence[Run]) -> Markup:
    """The newest numbers and texts of each run."""
    values = [{name: value for name, value in leaves(run.summary) if _is_short(value)} for run in runs]
    names = _names(values)
    return sheet(runs, values, names, "Results by run") if names else h("p", "The runs have no results.", kind="quiet")


def facts_sheet(run: Run) -> Markup:
    """On which machine and from what code a run ran."""
    own = run.facts.get("_wandb")
    # The client keeps what it found out apart, for each process that wrote the run; the last one's counts.
    found = list(own.get("e", {}).values()) if isinstance(own, dict) and isinstance(own.get("e"), dict) else []
    facts = {**(found[-1] if found and isinstance(found[-1], dict) else {}), **run.facts}
    rows = [h("tr", h("th", name, scope="row"), h("td", _cut(brief(value)))) for name, value in leaves(facts)]
    return h("table", h("tbody", rows), kind="sheet") if rows else h("p", "Nothing was noted.", kind="quiet")


def files_sheet(store: Store, run: Run) -> Markup:
    """The run's files with their sizes."""
    files = store.blobs.files(run.id)
    rows = [
        h("tr", h("th", file.name, scope="row"), h("td", size(file.blob.size), kind="number"))
        for file in files[:MOST_FILES]
    ]
    more = h("p", f"and {len(files) - MOST_FILES} more.", kind="quiet") if len(files) > MOST_FILES else None
    return h("div", h("table", h("tbody", rows), kind="sheet"), more)


def sheet(runs: Sequence[Run], values: Sequence[Values], names: Sequence[str], told: str) -> Markup:
    """One row for each name. Of one run the values stand alone; of several, each column is headed by its run."""
    rows = [h("tr", h("th", name, scope="row"), [_cell(each.get(name)) for each in values]) for name in names]
    if len(runs) == 1:
        return h("table", h("tbody", rows), kind="sheet")
    heads = [h("th", swatch(i), " ", title_of(run), scope="col", title=title_of(run)) for i, run in enumerate(runs)]
    table = h("table", h("thead", h("tr", h("td"), heads)), h("tbody", rows), kind="runs")
    return _scroll(table, told)


def _cell(value: Any) -> Markup:
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return h("td", _cut(brief(value)), kind="number" if numeric else None)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} …"


def _is_short(value: Any) -> bool:
    return not isinstance(value, dict | list) and len(str(value)) <= LONGEST


def _names(values: Sequence[Values]) -> list[str]:
    return sorted({name: None for each in values for name in each}, key=lambda name: ("/" in name, name))


def _scroll(table: Markup, told: str) -> Markup:
    return h("div", table, kind="scroll", tabindex="0", role="region", aria_label=told)
