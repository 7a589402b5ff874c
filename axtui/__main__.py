"""`python -m axtui`."""

import sys

from axtui.cli import main

sys.exit(main())
