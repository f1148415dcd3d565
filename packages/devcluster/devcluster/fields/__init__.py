"""managedFields and server-side apply. Pure.

`track` records the fields of every write. `apply` also merges and detects conflicts.
A set of fields is a set of paths (`paths.py`); `schema/types.py` says how each type
merges.
"""

from devcluster.fields.applying import apply
from devcluster.fields.shapes import types_of
from devcluster.fields.tracking import track

__all__ = ["apply", "track", "types_of"]
