"""JSON as clients send it."""

import json
import re
from typing import Any

HALF = re.compile(r"\\u[dD][89a-fA-F]")


def read_json(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ``ValueError`` if it is none.

    JSON can hold halves of characters (``"\\ud800"``), which no database takes; they are replaced.
    """
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    try:
        value = json.loads(text)
    except RecursionError:
        raise ValueError("The JSON is nested too deeply.") from None
    if not HALF.search(text):
        return value
    whole = json.dumps(value, ensure_ascii=False)
    return json.loads(whole.encode("utf-16", "surrogatepass").decode("utf-16", "replace"))
