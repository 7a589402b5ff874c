"""The tool host: one process that talks to all MCP servers of a controller.

It is the only place that imports `mcp`, and it knows nothing of controllers, runs or logs.
"""
