"""The rules of ConfigMapSync: what a resource means, which namespaces it selects, what a copy is, what is to be done.

Values in, values out: pydantic and the standard library, no I/O, no clock, no logging, no asyncio. The reconciler and the webhook both build on
it, and neither knows the other. A reader starts at `planning.py`; the resource itself is `resource.py`.
"""
