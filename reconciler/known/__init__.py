"""Know the cluster: caches of watches, content of sources, claims and rights."""
