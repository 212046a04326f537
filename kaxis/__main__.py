"""``python -m kaxis``."""

from kaxis.cli import main

if __name__ == "__main__":
    main()
