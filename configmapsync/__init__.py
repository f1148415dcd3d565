"""Hold the rules of ConfigMapSync, which the reconciler and the webhook share.

The rules take values and return values. They use pydantic, msgspec and the standard
library, and do no I/O, no logging and no asyncio. A reader starts at `planning.py`;
`resource.py` defines the resource.
"""
