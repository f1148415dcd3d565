"""Serve a read-only web page that shows syncs, copies and events.

`reconciler/app.py` builds it if a flag asks for it. It reads the caches and emitted
events, and must not write, read a ConfigMap, or change what the reconciler does.
"""
