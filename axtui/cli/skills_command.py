"""The Agent Skills that there are, or whether some are as the format has it.

A skill that can't be used is listed with the reason. `axtui skills check PATH ...` checks skills
more strictly than using them does, and ends with 1 if there is anything to correct.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from axtui.cli.arguments import UsageError
from axtui.cli.common import FAILED, current_folder
from axtui.cli.output import colored, print_json, print_text
from axtui.cli.table import print_table
from axtui.cli.theme import load_styles
from axtui.client import FoundSkill, SkillProblem, check_skill, find_skills, load_config
from axtui.model.words import count, one_line

_HEAD = ("SKILL", "STATE", "FILES", "FOLDER", "ABOUT")
_SPARE = (2, 3)
_STYLES = {"invalid": "failed", "shadowed": "canceled", "warning": "waiting", "ok": "completed"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of skills."""
    parser.add_argument(
        "what", nargs="?", choices=("list", "check"), default="list", help="what to do"
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help="folders of skills to check")


async def run_alone(args: argparse.Namespace) -> int:
    """List the skills, or check some."""
    return _check(args) if args.what == "check" else _list(args)


def _list(args: argparse.Namespace) -> int:
    if args.paths:
        raise UsageError("the list takes no paths", "to check skills: axtui skills check PATH ...")
    folder = current_folder()
    config = load_config(args.config, args.data_dir, os.environ, folder)
    found = find_skills(config.skill_paths, folder, Path(os.path.expanduser("~")))
    if args.output == "json":
        for item in found:
            print_json(_as_json(item))
        return 0
    if not found:
        print_text("no skills; they are looked for in .axtui/skills and .agents/skills")
        return 0
    _print(found, args.no_color)
    for item in found:
        for problem in item.problems:
            print_text(str(problem))
    return 0


def _check(args: argparse.Namespace) -> int:
    if not args.paths:
        raise UsageError("which skill?", "such as axtui skills check .agents/skills/my-skill")
    faulty = 0
    for path in args.paths:
        problems = check_skill(Path(path))
        faulty += bool(problems)
        if args.output == "json":
            told = [_problem_json(problem) for problem in problems]
            print_json({"path": path, "valid": not problems, "problems": told})
        else:
            for problem in problems:
                print_text(str(problem))
    if args.output == "text":
        valid = len(args.paths) - faulty
        print_text(f"valid: {count(valid, 'skill')}; to correct: {count(faulty, 'skill')}")
    return FAILED if faulty else 0


def _state(item: FoundSkill) -> str:
    if item.skill is None:
        return "invalid"
    if item.shadowed_by:
        return "shadowed"
    return "warning" if item.problems else "ok"


def _print(found: Sequence[FoundSkill], no_color: bool) -> None:
    rows = [
        (
            one_line(item.skill.name if item.skill else item.path.name),
            _state(item),
            str(len(item.skill.files) if item.skill else 0),
            one_line(str(item.path)),
            one_line(_about(item)),
        )
        for item in found
    ]
    styles = None
    if colored(no_color):
        known = load_styles()
        styles = [known.get(_STYLES[_state(item)], "") for item in found]
    print_table(_HEAD, rows, _SPARE, styles)


def _about(item: FoundSkill) -> str:
    if item.skill is None:
        return "see below"
    if item.shadowed_by:
        return f"{item.shadowed_by} is used instead"
    return item.skill.description


def _as_json(item: FoundSkill) -> dict[str, object]:
    told: dict[str, object] = {
        "name": item.skill.name if item.skill else None,
        "state": _state(item),
        "path": str(item.path),
        "shadowed_by": str(item.shadowed_by) if item.shadowed_by else None,
        "problems": [_problem_json(problem) for problem in item.problems],
    }
    if skill := item.skill:
        told |= {
            "description": skill.description,
            "license": skill.license,
            "compatibility": skill.compatibility,
            "metadata": skill.metadata,
            "allowed_tools": skill.allowed_tools,
            "files": skill.files,
            "scripts": skill.scripts,
            "digest": skill.digest,
        }
    return told


def _problem_json(problem: SkillProblem) -> dict[str, object]:
    return {"path": str(problem.path), "line": problem.line or None, "message": problem.message}
