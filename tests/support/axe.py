"""What axe-core finds wrong with the page in a browser for people who don't see or point at it as others do."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from support.browser import Browser

GRAVE = ("serious", "critical")
# What the page in it is, is not ours: logged pages stand in frames. Rules of WCAG 2.2 A and AA, and axe's own advice.
RUN = """axe.run(document, { iframes: false, resultTypes: ["violations"] }).then(({ violations }) =>
    violations.map(({ id, impact, help, nodes }) => ({
        id, impact, help, nodes: nodes.map((node) => [node.target.join(" "), node.failureSummary]),
    })))"""


def violations(browser: Browser) -> list[str]:
    """The serious and critical findings, a line each: the rule, what it wants, and where it is not so."""
    if browser.run("typeof axe") == "undefined":
        browser.run(f"{_script()}; 0")
    return [_told(found) for found in browser.run(RUN) if found["impact"] in GRAVE]


@cache
def axe_script() -> Path | None:
    """The script that the installed axe-playwright-python brings, found without importing it."""
    spec = find_spec("axe_playwright_python")
    return None if spec is None or spec.origin is None else Path(spec.origin).with_name("axe.min.js")


@cache
def _script() -> str:
    path = axe_script()
    assert path is not None, "axe-playwright-python is not installed: pip install -e .[dev]"
    return path.read_text(encoding="utf-8")


def _told(found: dict[str, Any]) -> str:
    places = "; ".join(f"{place}: {' '.join(why.split())}" for place, why in found["nodes"][:5])
    more = f" and {len(found['nodes']) - 5} more" if len(found["nodes"]) > 5 else ""
    return f"{found['impact']} {found['id']} ({found['help']}): {places}{more}"
