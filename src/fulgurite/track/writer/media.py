"""Pictures, sounds, tables and the like as W&B keeps them: a small dict in the row, and a file of the run.

Each function takes the ``place`` (key and step) that the files are named by, and returns the value for the row and the
files to keep. Arrays may be tensors or NumPy's.
"""

import hashlib
import html as markup
import io
import json
import os
import wave
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fulgurite.base.optional import available, require
from fulgurite.track.writer.batch import Kept
from fulgurite.track.writer.values import plain, text

EXTRA = "track"
FORMATS = {"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "gif": "GIF"}

Place = tuple[str, int]
Made = tuple[dict[str, Any], list[Kept]]


def images(place: Place, given: Any, **lists: Sequence[Any]) -> Made:
    """Tensors (channels first), arrays (channels last), PIL images, figures or paths.

    ``caption`` and ``file_type`` ("png" or "jpg") are lists with one entry per image.
    """
    items = listed("image", given, lists, ("caption", "file_type"))
    made = [_image(place, item, entry.get("file_type") or "png") for item, entry in items]
    if not made:
        return _several("images/separated", "filenames", []), []
    first, files = made[0][0], [kept for _, kept in made]
    value = _several("images/separated", "filenames", [kept.name for kept in files])
    value |= {name: first[name] for name in ("width", "height", "format") if name in first}
    captions = [entry.get("caption") for _, entry in items]
    if any(caption is not None for caption in captions):
        value["captions"] = captions
    return value, files


def audio(place: Place, given: Any, **lists: Sequence[Any]) -> Made:
    """Paths, or arrays of (time) or (time, channel) between -1 and 1, each with a ``sample_rate``; ``caption`` too."""
    made = []
    for item, entry in listed("sound", given, lists, ("caption", "sample_rate")):
        if _is_path(item):
            value, kept = _file(place, "audio", _read(item), Path(item).suffix[1:] or "wav", "audio-file")
        else:
            value, kept = _file(place, "audio", _wave(item, entry.get("sample_rate")), "wav", "audio-file")
        made.append((_captioned(value, entry), kept))
    return _group("audio", "audio", made)


def videos(place: Place, given: Any, **lists: Sequence[Any]) -> Made:
    """Paths, or arrays of (time, channel, height, width), which become GIFs; ``fps`` and ``caption`` per video."""
    made = []
    for item, entry in listed("video", given, lists, ("caption", "fps", "format")):
        if _is_path(item):
            value, kept = _file(place, "videos", _read(item), Path(item).suffix[1:] or "mp4", "video-file")
        else:
            value, kept = _file(place, "videos", _gif(item, entry.get("fps") or 4), "gif", "video-file")
        made.append((_captioned(value, entry), kept))
    value, files = _group("videos", "videos", made)
    value["captions"] = [each.get("caption") for each, _ in made]
    return value, files


def html(place: Place, given: Any) -> Made:
    """A page or a list of pages: their source, or paths of ``.html`` files."""
    pages = given if isinstance(given, list) else [given]
    made = [_file(place, "html", _page(page), "html", "html-file") for page in pages]
    if isinstance(given, list):
        return _group("html", "html", made)
    return made[0][0], [made[0][1]]


def table(place: Place, columns: Sequence[str] | None, data: Iterable[Sequence[Any]] | None, dataframe: Any) -> Made:
    """Columns and rows, or a data frame of any kind that has ``columns`` and gives its rows. Pictures are kept, too."""
    names, rows = rows_of(columns, data, dataframe)
    pictures = [_image(place, cell, "png") for row in rows for cell in row if is_picture(cell)]
    drawn = iter(value for value, _ in pictures)
    cells = [[next(drawn) if is_picture(cell) else plain(cell) for cell in row] for row in rows]
    content = json.dumps({"columns": names, "data": cells}, separators=(",", ":")).encode()
    value, kept = _file(place, "table", content, "table.json", "table-file")
    return {**value, "ncols": len(names), "nrows": len(rows)}, [*(file for _, file in pictures), kept]


def histogram(values: Any, bins: int | Sequence[float] = 64) -> dict[str, Any]:
    """The counts of the finite ``values`` in ``bins``. Nothing is kept but the row's own entry."""
    numpy = _numpy()
    numbers = numpy.asarray(_array(values), dtype=float).ravel()
    counts, edges = numpy.histogram(numbers[numpy.isfinite(numbers)], bins=bins)
    return {"_type": "histogram", "values": counts.tolist(), "bins": edges.tolist()}


def picture_of(item: Any) -> Any:
    """A PIL image of a path, a figure, a tensor or an array."""
    pillow = require("PIL.Image", EXTRA)
    if isinstance(item, pillow.Image):
        return item
    if _is_path(item):
        with pillow.open(item) as opened:
            opened.load()
            return opened
    if hasattr(item, "savefig"):
        buffer = io.BytesIO()
        item.savefig(buffer, format="png")
        return pillow.open(buffer)
    return pillow.fromarray(_bytes_of(_channels_last(item)))


def is_picture(cell: Any) -> bool:
    """Whether a table's cell is shown as a picture: a PIL image, a figure, or a tensor (channels, height, width)."""
    if hasattr(cell, "detach"):
        return cell.ndim == 3 and cell.shape[0] in (1, 3, 4)
    return hasattr(cell, "savefig") or hasattr(cell, "getbands")


def rows_of(
    columns: Sequence[str] | None, data: Iterable[Sequence[Any]] | None, dataframe: Any
) -> tuple[list[str], list[list[Any]]]:
    """The names of a table's columns, numbers where there are none, and its rows."""
    if dataframe is not None:
        columns = list(dataframe.columns)
        data = dataframe.itertuples(index=False, name=None) if hasattr(dataframe, "itertuples") else dataframe.rows()
    rows = [list(row) for row in data or []]
    width = len(rows[0]) if rows else 0
    names = [str(name) for name in columns] if columns is not None else [str(number) for number in range(width)]
    for number, row in enumerate(rows):
        if len(row) != len(names):
            raise ValueError(f"Row {number} has {len(row)} cells, but there are {len(names)} columns: {names}.")
    return names, rows


def listed(
    kind: str, given: Any, lists: Mapping[str, Sequence[Any]], known: Sequence[str]
) -> list[tuple[Any, dict[str, Any]]]:
    """Each item with its entries of the lists that came with them."""
    if not isinstance(given, list):
        raise TypeError(f"Expected a list, one entry per {kind} to log, but got {type(given).__name__}.")
    for name, values in lists.items():
        if name not in known:
            raise TypeError(f"{name}= is not known here. Beside the {kind}s, lists of these are taken: {known}.")
        if isinstance(values, str) or not hasattr(values, "__getitem__"):
            raise TypeError(f"Expected a list in {name}, one entry per {kind}, but got {values!r}.")
        if len(values) != len(given):
            raise ValueError(f"Expected {len(given)} items in {name}, one per {kind}, got {len(values)}.")
    return [(item, {name: values[number] for name, values in lists.items()}) for number, item in enumerate(given)]


def _image(place: Place, item: Any, file_type: str) -> tuple[dict[str, Any], Kept]:
    if file_type not in FORMATS:
        raise ValueError(f"file_type={file_type!r} is not known. Choose one of {', '.join(FORMATS)}.")
    size: tuple[int, int] | None = None
    if _is_path(item):
        content, file_type = _read(item), Path(item).suffix[1:].lower() or "png"
        if available("PIL"):
            with require("PIL.Image", EXTRA).open(io.BytesIO(content)) as opened:
                size = opened.size
    else:
        picture = picture_of(item)
        buffer = io.BytesIO()
        wanted = picture.convert("RGB") if FORMATS[file_type] == "JPEG" else picture
        wanted.save(buffer, format=FORMATS[file_type])
        content, size = buffer.getvalue(), picture.size
    value, kept = _file(place, "images", content, file_type, "image-file")
    shape = {} if size is None else {"width": size[0], "height": size[1]}
    return {**value, "format": file_type, **shape}, kept


def _channels_last(item: Any) -> Any:
    array = _array(item)
    if hasattr(item, "detach") and array.ndim == 3:
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or array.ndim == 3 and array.shape[2] not in (3, 4):
        raise ValueError(
            f"An image has the shape (height, width) or (height, width, 3 or 4), as a tensor (channels, height, "
            f"width), not {tuple(getattr(item, 'shape', array.shape))}."
        )
    return array


def _bytes_of(array: Any) -> Any:
    """Pixels from 0 to 255. Fractions up to 1 are shares of 255; other fractions are stretched to fit."""
    numpy = _numpy()
    if array.dtype == numpy.uint8:
        return array
    if array.dtype.kind in "iu":
        return array.clip(0, 255).astype(numpy.uint8)
    numbers = numpy.nan_to_num(array.astype(float), posinf=0.0, neginf=0.0)
    low, high = (0.0, 1.0) if not numbers.size else (min(numbers.min(), 0.0), max(numbers.max(), 1.0))
    if low < 0 or high > 1:
        low, high = numbers.min(), numbers.max()
    return ((numbers - low) / max(high - low, 1e-12) * 255).round().astype(numpy.uint8)


def _wave(item: Any, rate: Any) -> bytes:
    if not rate:
        raise ValueError("An array is a sound only with its rate: log_audio(key, [array], sample_rate=[16000]).")
    numpy = _numpy()
    samples = _array(item)
    if samples.dtype.kind == "f":
        samples = (samples.clip(-1, 1) * 32767).round()
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(int(rate))
        file.writeframes(samples.astype(numpy.dtype("<i2")).tobytes())
    return buffer.getvalue()


def _gif(item: Any, fps: int) -> bytes:
    pillow = require("PIL.Image", EXTRA)
    array = _array(item)
    if array.ndim != 4 or array.shape[1] not in (1, 3):
        raise ValueError(f"A video has the shape (time, 1 or 3 channels, height, width), not {tuple(array.shape)}.")
    pixels = _bytes_of(array).transpose(0, 2, 3, 1)
    frames = [pillow.fromarray(frame[:, :, 0] if frame.shape[2] == 1 else frame) for frame in pixels]
    buffer = io.BytesIO()
    frames[0].save(buffer, format="GIF", save_all=True, append_images=frames[1:], duration=1000 / fps, loop=0)
    return buffer.getvalue()


def _page(page: Any) -> bytes:
    if isinstance(page, os.PathLike) or isinstance(page, str) and page.endswith(".html") and os.path.isfile(page):
        return _read(page)
    if isinstance(page, str):
        return page.encode()
    source = page.read() if hasattr(page, "read") else f"<pre>{markup.escape(str(page))}</pre>"
    return source if isinstance(source, bytes) else str(source).encode()


def _file(place: Place, folder: str, content: bytes, ending: str, kind: str) -> tuple[dict[str, Any], Kept]:
    """The dict that names a file, and the file; its name tells key, step and content."""
    key, step = place
    digest = hashlib.sha256(content).hexdigest()
    inside = "/".join("_" if part in ("", ".", "..") else part for part in text(key).split("/"))
    name = f"media/{folder}/{inside}_{step}_{digest[:20]}.{ending}"
    return {"_type": kind, "path": name, "sha256": digest, "size": len(content)}, Kept(name, content)


def _several(kind: str, name: str, items: list[Any]) -> dict[str, Any]:
    return {"_type": kind, "count": len(items), name: items}


def _group(kind: str, name: str, made: list[tuple[dict[str, Any], Kept]]) -> Made:
    return _several(kind, name, [value for value, _ in made]), [kept for _, kept in made]


def _captioned(value: dict[str, Any], entry: Mapping[str, Any]) -> dict[str, Any]:
    return value if entry.get("caption") is None else {**value, "caption": str(entry["caption"])}


def _array(item: Any) -> Any:
    if hasattr(item, "detach"):
        # Half precisions that NumPy does not know have no way there but this.
        item = item.detach().cpu()
        item = item.float() if item.is_floating_point() else item
    return _numpy().asarray(item)


def _numpy() -> Any:
    # Late: media are logged seldom, and the package shall load without it.
    import numpy

    return numpy


def _is_path(item: Any) -> bool:
    return isinstance(item, str | os.PathLike)


def _read(path: str | os.PathLike[str]) -> bytes:
    return Path(path).read_bytes()
