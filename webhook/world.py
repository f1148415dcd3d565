"""What the webhook knows of the cluster: namespaces and syncs, kept by informers, and the graph that the syncs draw.

A name that the caches do not hold is asked for live before it is called missing: a namespace that the same `kubectl apply` made a
moment ago counts. Whether ConfigMaps are there is only ever asked live, for warnings; caching them would cost memory for nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

import structlog

from configmapsync.names import MANAGED_BY_LABEL, MANAGED_BY_VALUE, SYNC_UID_LABEL, NamespacedName
from configmapsync.selection import Namespace, select
from configmapsync.topology import Graph
from kube.connection import ACCEPT_METADATA, Connection
from kube.errors import ApiError, NotFound
from webhook.admit import Candidate, View

log = structlog.stdlib.get_logger()

Visible = Callable[[Iterable[NamespacedName]], Awaitable[frozenset[NamespacedName]]]

# A warning is a courtesy: it is not worth many requests, nor waiting long.
LOOKED_AT_FOR_WARNINGS = 16
LOOKED_WITHIN_SECONDS = 1.0
CONFIRMED_WITHIN_SECONDS = 3.0
