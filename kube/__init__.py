"""The road to the API server, for any operator: connection, errors, watches, caches, a work queue, leader election, events.

It knows nothing of ConfigMapSync and nothing of our processes. Built on aiohttp and msgspec; from kubernetes_asyncio it takes what finds and
refreshes credentials. Start at `connection.py`, then `reflector.py` and `informer.py`.
"""
