"""Export `read_copy` and `read_source`, which decode ConfigMaps, from the reconciler.

The kubectl plugin imports them from here, because it must not import a process.
"""

from reconciler.known.configmaps import read_copy, read_source

__all__ = ["read_copy", "read_source"]
