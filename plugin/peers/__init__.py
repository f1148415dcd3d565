"""Translate the annotations of other tools that copy ConfigMaps into ConfigMapSyncs.

`plugin/commands/import_.py` calls it. Start at `importing.py`, which calls the module
of each tool. Only `cluster_reading.py` does I/O.
"""
