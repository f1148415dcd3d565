"""HTTP: from a request to a call, and from an answer to bytes.

Start at `server.py`. `resources.py` carries out the verbs; it must not know how
objects are stored.
"""
