"""Agents that speak the protocol of Google AX."""
