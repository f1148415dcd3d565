"""What the reconciler reports: the status and events of a sync, and metrics."""
