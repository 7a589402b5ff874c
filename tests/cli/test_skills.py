"""skills: what there is, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from .harness import Cli, here

pytestmark = here


def write_skill(root: Path, name: str, front: str = "description: Does it.\n") -> Path:
    path = root / name
    path.mkdir(parents=True)
    (path / "SKILL.md").write_text(f"---\nname: {name}\n{front}---\nDo it.\n")
    return path


@pytest.fixture
def skills(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """A folder with a skill of each state; the home folder has one more."""
    home = cli.folder / "home"
    monkeypatch.setenv("HOME", str(home))
    write_skill(home / ".agents" / "skills", "good")
    root = cli.folder / ".agents" / "skills"
    write_skill(root, "bad", "")
    good = write_skill(root, "good")
    (good / "scripts").mkdir()
    (good / "scripts" / "run.py").touch()
    write_skill(root, "odd", "description: Does it.\nversion: 1\n")
    cli.reach = []
    return cli


def test_a_table(skills: Cli) -> None:
    done = skills("skills")
    assert (done.status, done.err) == (0, "")
    lines = [line.split() for line in done.out.splitlines()]
    root = skills.folder / ".agents" / "skills"
    assert [line[:3] for line in lines[:5]] == [
        ["SKILL", "STATE", "FILES"],
        ["bad", "invalid", "0"],
        ["good", "ok", "1"],
        ["odd", "warning", "0"],
        ["good", "shadowed", "0"],
    ]
    assert f"{root}/good is used instead" in done.out
    assert f"{root}/bad/SKILL.md:1: 'description' is missing; add it" in done.out
    assert f"{root}/odd/SKILL.md:4: unknown field 'version'" in done.out


def test_json(skills: Cli) -> None:
    bad, good, _, other = skills("skills", "--output", "json").json()
    root = skills.folder / ".agents" / "skills"
    problem = {
        "path": str(root / "bad" / "SKILL.md"),
        "line": 1,
        "message": "'description' is missing; add it",
    }
    assert bad == {
        "name": None,
        "state": "invalid",
        "path": str(root / "bad"),
        "shadowed_by": None,
        "problems": [problem],
    }
    assert (good["name"], good["state"], good["scripts"]) == ("good", "ok", ["scripts/run.py"])
    assert (good["description"], len(good["digest"])) == ("Does it.", 64)
    assert (other["state"], other["shadowed_by"]) == ("shadowed", str(root / "good"))


def test_none(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(cli.folder))
    assert cli("skills").out.startswith("no skills; ")
    assert cli("skills", "--output", "json").out == ""


def test_configured_folders(skills: Cli) -> None:
    write_skill(skills.folder / "mine", "good")
    (skills.folder / "axtui.yaml").write_text("skills: {paths: [mine, missing]}")
    missing, first, *_ = skills("skills", "--output", "json").json()
    assert (missing["path"], missing["state"]) == (str(skills.folder / "missing"), "invalid")
    assert (first["path"], first["state"]) == (str(skills.folder / "mine" / "good"), "ok")


def test_a_broken_configuration(skills: Cli) -> None:
    (skills.folder / "axtui.yaml").write_text("skills: {paths: x}")
    done = skills("skills")
    assert (done.status, done.out) == (2, "")
    assert "axtui.yaml:1:17: expected a list, got the text 'x'" in done.err


def test_check(skills: Cli) -> None:
    good = ".agents/skills/good"
    done = skills("skills", "check", good, f"{good}/SKILL.md")
    assert (done.status, done.out) == (0, "valid: 2 skills; to correct: 0 skills\n")
    done = skills("skills", "check", good, ".agents/skills/odd", "nowhere")
    assert (done.status, done.err) == (1, "")
    assert "odd/SKILL.md:4: unknown field 'version'" in done.out
    assert f"{skills.folder}/nowhere: there is no such folder" in done.out
    assert done.out.endswith("valid: 1 skill; to correct: 2 skills\n")


def test_check_as_json(skills: Cli) -> None:
    done = skills("skills", "check", ".agents/skills/good", "nowhere", "--output", "json")
    assert done.status == 1
    good, nowhere = done.json()
    assert good == {"path": ".agents/skills/good", "valid": True, "problems": []}
    assert (nowhere["path"], nowhere["valid"]) == ("nowhere", False)
    assert nowhere["problems"][0]["line"] is None


@pytest.mark.parametrize("args", [("check",), ("list", "x"), ("frobnicate",)])
def test_a_wrong_call(skills: Cli, args: tuple[str, ...]) -> None:
    done = skills("skills", *args)
    assert (done.status, done.out) == (2, "")


def test_a_terminal(skills: Cli) -> None:
    with skills.terminal("skills", HOME=str(skills.folder / "home"), width=60) as terminal:
        assert terminal.finish() == 0
        assert any("invalid" in line for line in terminal.screen())
        assert "\x1b[" in terminal.text
