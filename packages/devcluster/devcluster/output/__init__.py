"""Render objects and the API: discovery, OpenAPI, tables, metadata, YAML. Pure."""
