"""Run the plugin: `python -m plugin` or `kubectl configmapsync`."""

import sys

from plugin.cli import main

if __name__ == "__main__":
    sys.exit(main())
