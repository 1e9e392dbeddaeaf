"""The reference of the commands has every option of the parser, and no other."""

import re
from pathlib import Path

import pytest

from fulgurite.anomaly.options import parser, verbs

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "anomaly-cli.md"


def section(verb):
    text = PAGE.read_text()
    return re.split(r"^## ", text.split(f"\n## {verb}\n")[1], flags=re.MULTILINE)[0]


@pytest.mark.parametrize("verb", verbs())
def test_the_reference_tells_every_option(verb):
    """docs/reference/anomaly-cli.md, compared with what argparse knows."""
    known = {word for action in verbs()[verb]._actions for word in action.option_strings} - {"-h", "--help"}
    rows = [line.split("|")[1] for line in section(verb).splitlines() if line.startswith("| `--")]
    told = {word for row in rows for word in re.findall(r"`(--[\w-]+)`", row)}

    assert told == known


@pytest.mark.parametrize("verb", verbs())
def test_the_reference_tells_the_defaults(verb):
    """A default of the parser stands in the row of its option, there or where the row points to."""
    page = PAGE.read_text()
    for action in verbs()[verb]._actions:
        if action.option_strings and isinstance(action.default, str) and action.default != "==SUPPRESS==":
            row = rf"\| `{action.option_strings[0]}`[^|]*\| `{re.escape(action.default)}` \|"
            assert re.search(row, section(verb)) or re.search(row, page), action.option_strings[0]


def test_every_verb_has_its_line():
    """In the list at the top, too."""
    assert set(verbs()) == set(re.findall(r"^\$ fulgurite anomaly (\w+)", PAGE.read_text(), flags=re.MULTILINE))
    assert set(verbs()) <= set(parser().format_help().split())
