"""TEMPORARY until ACCESS's module lands."""
import asyncio
class Controllers:
    def __init__(self, store, catalog, registry, authority): pass
    async def run(self): await asyncio.Event().wait()
