"""What the reconciler knows of the cluster: caches of watches, sources, and who may write what."""
