import axtui.remote  # noqa: F401  (it keeps gRPC quiet, if it comes first)
