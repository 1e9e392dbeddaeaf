"""How long things may get. The limits are guides: whoever has a reason names the exception here."""

import ast
import io
import statistics
import tokenize
from pathlib import Path

import pytest

import fulgurite

SOURCE = Path(fulgurite.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
Function = ast.FunctionDef | ast.AsyncFunctionDef

# These owe their width to the API they keep ...
WIDE_CLASSES = {
    "Callback",
    "LightningModule",
    "MLFlowLogger",
    "ModelCheckpoint",
    "ModelHooks",
    "Precision",
    "Strategy",
    "TrackLogger",
    "Trainer",
    "TrainerViews",
    "WandbLogger",
}
# ... and these to what they do; a good cut through one of them is welcome.
WIDE_CLASSES |= {"ModelCheckpoint", "TimedProgressBar", "TQDMProgressBar", "_Telling"}
LONG_FILES: set[str] = set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_has_at_most_420_lines_of_code(path):
    """Blank lines, comments and docstrings are free."""
    assert len(code_lines(path)) <= 420 or path.name in LONG_FILES


def test_functions_are_short():
    """Half of all functions have at most 8 lines of code, nine in ten at most 25."""
    lengths = [length for path in FILES for length in function_lengths(path)]

    assert statistics.median(lengths) <= 8
    assert statistics.quantiles(lengths, n=10)[-1] <= 25


def test_classes_have_at_most_20_methods():
    """Properties count; the classes that carry the public API are named."""
    wide = {
        node.name: len(methods)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and len(methods := [m for m in node.body if isinstance(m, Function)]) > 20
    }

    assert {name: count for name, count in wide.items() if name not in WIDE_CLASSES} == {}


def function_lengths(path: Path) -> list[int]:
    lines = code_lines(path)
    functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, Function)]
    return [sum(node.lineno < line <= node.end_lineno for line in lines) for node in functions]


def code_lines(path: Path) -> set[int]:
    """The numbers of the lines that hold code."""
    text = path.read_text()
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    lines = {line for t in tokens if t.type not in silent for line in range(t.start[0], t.end[0] + 1)}
    return lines - docstring_lines(ast.parse(text))


def docstring_lines(tree: ast.Module) -> set[int]:
    """Lines of strings that stand alone: docstrings, and the notes under an attribute."""
    alone = [node for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    texts = [node for node in alone if isinstance(node.value.value, str)]
    return {line for node in texts for line in range(node.lineno, node.end_lineno + 1)}
