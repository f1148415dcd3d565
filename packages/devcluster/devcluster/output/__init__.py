"""How stored objects and the API itself are shown: discovery, OpenAPI, tables, metadata-only forms and YAML. Pure."""
