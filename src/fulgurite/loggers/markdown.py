"""Tables as Markdown, for loggers that show text."""

from collections.abc import Sequence
from typing import Any

from fulgurite.track.writer.media import is_picture
from fulgurite.track.writer.values import plain


def markdown(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table; of one column alone, its cells as paragraphs. Pictures are told by their size."""
    if len(names) == 1:
        return "\n\n".join(shown(row[0]) for row in rows)
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join("|" + "|".join(_cell(cell) for cell in line) + "|" for line in lines)


def shown(cell: Any) -> str:
    """A cell as text."""
    if is_picture(cell):
        return f"picture, {_size(cell)}"
    return str(plain(cell))


def _cell(cell: Any) -> str:
    # A bar or a line break inside would end the cell.
    return " " + shown(cell).replace("|", "\\|").replace("\n", "<br>") + " "


def _size(picture: Any) -> str:
    if hasattr(picture, "detach"):
        return f"{picture.shape[2]} x {picture.shape[1]}"
    if hasattr(picture, "savefig"):
        width, height = picture.get_size_inches() * picture.dpi
        return f"{width:.0f} x {height:.0f}"
    return "{} x {}".format(*picture.size)
