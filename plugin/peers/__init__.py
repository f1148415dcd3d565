"""Translate the annotations of other tools that copy ConfigMaps into ConfigMapSyncs.

`plugin/commands/import_.py` calls it. `inventory.py` holds what is read, one module for
each tool finds the wanted copies, and `syncs.py` makes the syncs. Nothing here does I/O.
"""
