"""Decode ConfigMaps as the reconciler does, for programs that only read.

The kubectl plugin imports these functions from here, because it must not import a
process.
"""

from reconciler.known.configmaps import read_copy, read_source

__all__ = ["read_copy", "read_source"]
