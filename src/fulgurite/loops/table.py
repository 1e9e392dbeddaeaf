"""What ``validate`` and ``test`` print."""


def results_table(results: list[dict[str, float]], verb: str) -> str:
    """Return the results as a table: a row for each name, a column for each loader."""
    names = list(dict.fromkeys(_plain(name) for result in results for name in result))
    columns = [{_plain(name): value for name, value in result.items()} for result in results]
    heads = [f"{verb} metric", *(_head(index, len(results)) for index in range(len(results)))]
    rows = [[name, *(_cell(column.get(name)) for column in columns)] for name in names]
    widths = [max(len(row[index]) for row in [heads, *rows]) for index in range(len(heads))]
    rule = "─" * (sum(widths) + 3 * len(widths) - 1)
    lines = [rule, _line(heads, widths), rule, *(_line(row, widths) for row in rows), rule]
    return "\n".join(lines)


def _plain(name: str) -> str:
    return name.split("/dataloader_idx_")[0]


def _head(index: int, count: int) -> str:
    return "value" if count == 1 else f"loader {index}"


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _line(cells: list[str], widths: list[int]) -> str:
    first, *rest = (
        cell.ljust(width) if not index else cell.rjust(width)
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return " " + "   ".join([first, *rest])
