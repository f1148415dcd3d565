"""Check files with ConfigMapSyncs, by the rules of the CRD and of admission.

`plugin/commands/check.py` calls it. `shape.py` checks one object, `references.py` all
together, and only `live.py` does I/O.
"""
