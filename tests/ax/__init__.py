"""Google AX's own clients and agents, as programs: messages of their own, and nothing of ours."""
