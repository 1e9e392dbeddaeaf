"""Options from a YAML file, as if they had been typed, and back."""

import argparse
import csv
import difflib
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fulgurite.anomaly.options import parser, verbs
from fulgurite.base.errors import MisconfigurationException


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The options of a command line. Those of its ``--config`` file are put before the others, which so win.

    ``words`` are the line itself.
    """
    chosen = parser().parse_args(words)
    file = getattr(chosen, "config", None)
    if file is not None:
        place = words.index(chosen.verb) + 1
        chosen = parser().parse_args([*words[:place], *_typed(Path(file), chosen.verb), *words[place:]])
    chosen.words = list(words)
    return chosen


def as_config(chosen: argparse.Namespace) -> dict[str, Any]:
    """The options under the names that a file gives them; what was left to the program stays out."""
    said = {name: getattr(chosen, action.dest) for name, action in _options(chosen.verb).items()}
    return {name: value for name, value in said.items() if value is not None and name != "config"}


def split_names(names: str) -> list[str]:
    """The names in a list with commas between them; one that has a comma itself stands in quotes, as in a CSV."""
    found = next(csv.reader([names], skipinitialspace=True), [])
    return [name.strip() for name in found if name.strip()]


def _joined(names: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(names)
    return text.getvalue()


def _typed(file: Path, verb: str) -> Iterator[str]:
    options = _options(verb)
    for key, value in _read(file).items():
        name = str(key).replace("_", "-")
        if name not in options:
            near = difflib.get_close_matches(name, options, n=1)
            told = f"Did you mean {near[0]!r}?" if near else f"It has {', '.join(options)}."
            raise MisconfigurationException(f"{file}: `fulgurite anomaly {verb}` has no option {key!r}. {told}")
        yield from _words(f"--{name}", options[name], value)


def _words(option: str, action: argparse.Action, value: Any) -> list[str]:
    if value is None:
        return []
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise MisconfigurationException(
                f"{option[2:]}: {value!r} in the file of options is neither true nor false."
            )
        return [option] if value else [f"--no-{option[2:]}"] if f"--no-{option[2:]}" in action.option_strings else []
    # One word, so that a value that begins with a dash is not taken for an option.
    return [f"{option}={_joined(value) if isinstance(value, list) else value}"]


def _options(verb: str) -> dict[str, argparse.Action]:
    return {
        action.option_strings[0][2:]: action
        for action in verbs()[verb]._actions
        if action.option_strings and action.dest != "help"
    }


def _read(file: Path) -> Mapping[Any, Any]:
    import yaml  # late: only a file of options needs it

    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, TypeError, RecursionError) as error:
        raise MisconfigurationException(f"{file} is no YAML: {error}") from error
    if not isinstance(found, Mapping | None):
        raise MisconfigurationException(f"{file} holds {type(found).__name__}, expected lines such as `epochs: 20`.")
    return found or {}
