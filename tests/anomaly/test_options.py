"""The reference of the commands has every option of the parser, and no other."""

import re
from pathlib import Path

import pytest
import yaml

from fulgurite.anomaly.config import as_config, parse
from fulgurite.anomaly.options import parser, verbs
from fulgurite.anomaly.steps import chosen_columns

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


@pytest.mark.parametrize("words", ["--epochs=0", "--epochs=-5", "--seed=-1", "--epochs=many", "--seed=1.5"])
def test_numbers_that_cannot_be_meant_are_refused(words, capsys):
    """With what is expected; the exit code is that of usage."""
    with pytest.raises(SystemExit) as ended:
        parse(["fit", "rows.csv", words])

    assert ended.value.code == 2
    assert re.search(r"argument --(epochs|seed): .* expected a whole number from [01] on", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("typed", "listed"),
    [
        (None, None),
        ("", []),
        ("load, wind", ["load", "wind"]),
        ('"flow, l/s",wind', ["flow, l/s", "wind"]),
        ('wind, "flow, l/s"', ["wind", "flow, l/s"]),
        ('5" pipe,wind', ['5" pipe', "wind"]),
    ],
)
def test_names_with_commas_are_listed_in_quotes(typed, listed):
    """As in a CSV."""
    chosen = parse(["fit", "rows.csv", *([] if typed is None else ["--continuous", typed])])

    assert chosen_columns(chosen)["continuous"] == listed


def test_a_list_in_a_file_of_options_stays_the_list():
    """Its names may hold commas and quotes, and so may those that are written back."""
    names = ["flow, l/s", "wind", 'the "old" one', 'a"b']
    Path("first.yaml").write_text(yaml.safe_dump({"continuous": names}))
    chosen = parse(["fit", "rows.csv", "--config", "first.yaml"])
    Path("again.yaml").write_text(yaml.safe_dump(as_config(chosen)))

    assert chosen_columns(chosen)["continuous"] == names
    assert chosen_columns(parse(["fit", "rows.csv", "--config", "again.yaml"]))["continuous"] == names


def test_every_verb_has_its_line():
    """In the list at the top, too."""
    assert set(verbs()) == set(re.findall(r"^\$ fulgurite anomaly (\w+)", PAGE.read_text(), flags=re.MULTILINE))
    assert set(verbs()) <= set(parser().format_help().split())
