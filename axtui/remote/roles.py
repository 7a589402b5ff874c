"""Who may call what: the least role of every method of every service."""

from __future__ import annotations

from axtui.model.tokens import ROLES, Role

# By service: the methods of each role. "" stands for everybody who can connect, since whoever asks
# whether a server is well has no token.
_METHODS: dict[str, dict[Role | str, str]] = {
    "axtui.v1.Controller": {
        "viewer": "Find Resolve List Prunable GetState Read Search GetBlob Watch Export Verify"
        " GetServer ListAgents ListTools ListResources ListPrompts",
        "operator": "Start Resume Pause Cancel Answer Tell Fork",
        "admin": "Delete Purge Restore CreateToken ListTokens RevokeToken",
    },
    "ax.ControllerService": {"operator": "Exec"},
    "ax.ExecutionService": {"operator": "Exec"},
    "ax.InteractionsService": {"operator": "CreateInteraction"},
    "ax.ConversationService": {"operator": "ForkConversation", "admin": "DeleteConversation"},
    "grpc.health.v1.Health": {"": "Check List Watch"},
    "grpc.reflection.v1alpha.ServerReflection": {"viewer": "ServerReflectionInfo"},
}
LEAST: dict[str, str] = {
    f"/{service}/{method}": role
    for service, roles in _METHODS.items()
    for role, methods in roles.items()
    for method in methods.split()
}


def least_role(method: str) -> str:
    """The role that a method takes, by its full name; empty if it takes none. What is in no table
    takes the highest."""
    return LEAST.get(method, ROLES[-1])


def denial(name: str, role: str, method: str) -> str:
    """What somebody is told of a method, by its full name, that his role isn't enough for."""
    a = "an" if role[:1] in "ao" else "a"
    last = method.rpartition("/")[2]
    return f"{name} is {a} {role}, and {last} takes the role {least_role(method)}"


def suffices(role: str, least: str) -> bool:
    """Whether a role may do what takes `least`."""
    return not least or (role in ROLES and ROLES.index(role) >= ROLES.index(least))
