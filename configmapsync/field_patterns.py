"""Define the patterns of names and keys, and the words for values that do not match.

`spec.py` puts the patterns on its fields, and so into the CRD. `schema_errors.py` looks
up the words by pattern, so no pattern may lack them. The words are those of the API
server, except for globs.
"""

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
LABEL = rf"^{_LABEL}$"
LABEL_GLOB = r"^[a-z0-9*?]([-a-z0-9*?]*[a-z0-9*?])?$"
SUBDOMAIN = rf"^{_LABEL}(\.{_LABEL})*$"
# A volume cannot have a file ".", and uses "..data" itself.
DATA_KEY = r"^\.?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$"
DATA_KEY_GLOB = r"^[-._a-zA-Z0-9*?]+$"

# What the API server prints if a value does not match.
PATTERN_WORDS = {
    LABEL: (
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
        "and must start and end with an alphanumeric character"
    ),
    LABEL_GLOB: (
        "a namespace pattern must consist of lower case alphanumeric characters, '-', '*' or '?', "
        "and must not start or end with '-'"
    ),
    SUBDOMAIN: (
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "
        "'-' or '.', and must start and end with an alphanumeric character"
    ),
    DATA_KEY: (
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.', "
        "and must not be '.' or start with '..'"
    ),
    DATA_KEY_GLOB: (
        "a key pattern must consist of alphanumeric characters, '-', '_', '.', '*' or '?'"
    ),
}
