"""Names of checkpoint files, filled from metrics."""

import re
from collections.abc import Mapping
from typing import Any

PLACEHOLDER = re.compile(r"\{([^{}:]+)(:[^{}]*)?\}")


def fill(template: str, metrics: Mapping[str, Any], equals: str = "=", insert_names: bool = True) -> str:
    """Fill every ``{metric}`` or ``{metric:.2f}`` of ``template``; with ``insert_names`` as ``metric=0.12``.

    A metric that is not there counts as 0. Raises ``ValueError`` where the template or a format cannot work.
    """

    def value_of(found: re.Match[str]) -> str:
        name, spec = found[1], (found[2] or ":")[1:]
        shown = _shown(metrics.get(name, 0), spec, found[0], template)
        return f"{name}{equals}{shown}" if insert_names else shown

    filled = PLACEHOLDER.sub(value_of, template)
    if "{" in PLACEHOLDER.sub("", template) or "}" in PLACEHOLDER.sub("", template):
        raise ValueError(
            f"filename={template!r} has a brace that belongs to no metric. Write {{name}} or {{name:.2f}}."
        )
    return filled


def outline(template: str, equals: str = "=", insert_names: bool = True) -> str:
    """The name with dots where metrics will stand."""
    return PLACEHOLDER.sub(lambda found: f"{found[1]}{equals}…" if insert_names else "…", template)


def has_placeholders(template: str) -> bool:
    """Whether the name changes with the metrics."""
    return PLACEHOLDER.search(template) is not None


def _shown(value: Any, spec: str, placeholder: str, template: str) -> str:
    number = value.item() if hasattr(value, "item") else value
    try:
        return format(number, spec)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"filename={template!r}: {placeholder} cannot show {number!r}. Use a format for a "
            f"{type(number).__name__}, such as ':.2f' for a float or ':03d' for an int."
        ) from error
