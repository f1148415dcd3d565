"""TEMPORARY until PLANE's module lands."""
import hashlib
V2_MEDIA_TYPE="application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
def v2_document(kinds): return b""
def v3_index(kinds): return {"paths": {"api/v1": {"serverRelativeURL": "/openapi/v3/api/v1?hash=x"}}}
def v3_document(gv, kinds): return {"openapi":"3.0.0","info":{},"paths":{},"components":{"schemas":{}}}
def fingerprint(body): return hashlib.sha512(body).hexdigest().upper()
