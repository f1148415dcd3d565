"""Translate the annotations of other tools that copy ConfigMaps into ConfigMapSyncs.

`plugin/commands/import_.py` calls it. Start at `importing.py`. Only
`cluster_reading.py` does I/O.
"""
