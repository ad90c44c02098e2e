"""`python -m ttr_numerics.cli`."""

import sys

from ttr_numerics.cli import main

if __name__ == "__main__":
    sys.exit(main())
