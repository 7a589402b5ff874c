"""Agent Skills: folders with a SKILL.md, which a model may read and whose scripts it may run."""
