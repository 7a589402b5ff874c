"""The tool host: one process that talks to all MCP servers of a controller.

Only that process (`__main__.py`) imports `mcp`, and it knows nothing of controllers, runs or logs.
The controller's side of it is `actor.py`.
"""
