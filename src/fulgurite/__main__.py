"""`python -m fulgurite` is the `fulgurite` command."""

import sys

from fulgurite.cli import main

if __name__ == "__main__":
    sys.exit(main())
