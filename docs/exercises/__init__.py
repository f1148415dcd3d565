"""Small programs for docs/exercises.md, which run on an API server in memory."""
