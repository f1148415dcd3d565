"""The graph of all syncs: which sync claims which ConfigMap, and which claims are granted."""
