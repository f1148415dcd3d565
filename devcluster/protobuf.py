"""TEMPORARY until PLANE's module lands."""
def decode(body): raise NotImplementedError
