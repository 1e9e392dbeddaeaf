"""Names that people gave, as names of files: nothing leaves its folder, and two names never become one."""

import re
from pathlib import Path
from urllib.parse import quote

PLAIN = "-_.,=+@() "  # stays as it is, beside letters and digits


def as_file_name(name: str) -> str:
    """One folder's or file's name: ``a/b`` is ``a%2Fb``. `urllib.parse.unquote` leads back."""
    quoted = quote(name, safe=PLAIN)
    if set(quoted) <= {"."} or quoted[-1] in ". ":
        quoted = "".join(f"%{ord(letter):02X}" if letter in ". " else letter for letter in quoted)
    return quoted or "%"


def as_path(name: str) -> Path:
    """A name with slashes as a path below some folder: each part is a file name of its own."""
    return Path(*(as_file_name(part) for part in re.split(r"[/\\]", name)))
