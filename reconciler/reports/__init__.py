"""Report what happened: statuses and events, counts and metrics."""
