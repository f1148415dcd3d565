"""Who owns which field: managedFields, and server-side apply. Pure.

Every write is tracked (`track`); an apply is a write that also merges, and that may conflict (`apply`). A set of fields is a
set of paths (`paths.py`); what the types say of merging stands in `devcluster/types.py`.
"""

from devcluster.fields.applying import apply
from devcluster.fields.shapes import types_of
from devcluster.fields.tracking import track

__all__ = ["apply", "track", "types_of"]
