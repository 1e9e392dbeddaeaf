"""Where the script lies that draws our charts: in the installed plotly."""

import sys
from importlib.util import find_spec
from pathlib import Path

from fulgurite.base.errors import MissingExtra

PLOTLY = "plotly.min.js"


def plotly_script() -> Path:
    """The file, found without importing plotly. Raises ``MissingExtra``."""
    spec = find_spec("plotly")
    if spec is None or spec.origin is None:
        raise MissingExtra(
            f'plotly is not installed: {sys.executable} -m pip install "fulgurite[track]"', name="plotly"
        )
    return Path(spec.origin).parent / "package_data" / PLOTLY
