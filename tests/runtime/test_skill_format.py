"""A SKILL.md: checked as the reference validator does, and read more leniently than that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from axtui.runtime.skills.front_matter import MAX_FAULTS, MAX_FRONT_MATTER, read
from axtui.runtime.skills.loader import MAX_BYTES, load, validate

NAME = "my-skill"
HEAD = f"---\nname: {NAME}\ndescription: Does things.\n"


def said(rest: str = "", name: str = NAME, description: str = "Does things.") -> str:
    return f"---\nname: {name}\ndescription: {description}\n{rest}---\n# Body\n"


# What a SKILL.md has, in a folder of the name that it gives or else of `NAME`.
VALID = {
    "the least": said(),
    "all fields": said(
        "license: MIT\ncompatibility: Needs git\nallowed-tools: Bash(git:*) Read\n"
        'metadata:\n  author: me\n  version: "1.0"\n'
    ),
    "no body": HEAD + "---",
    "body with rules": said() + "---\n\n---\nmore: text\n---\n",
    "CRLF": said().replace("\n", "\r\n"),
    "CR": said().replace("\n", "\r"),
    "space behind the fence": said().replace("---\n", "---  \n"),
    "comments": said("# a comment\nlicense: MIT # another\n"),
    "quoted": said(name=f"'{NAME}'", description='"Use when: \\"x\\" — \\u00e9"'),
    "block": said(description="|\n  Use when: x.\n\n  More: y"),
    "folded": said(description=">-\n  Use when: x\n  and y"),
    "over lines": said(description="Does\n  things"),
    "quoted key": said().replace("name:", '"name":'),
    "key on its own": said().replace(f"name: {NAME}", f"? name\n: {NAME}"),
    "all indented": f"---\n  name: {NAME}\n  description: x\n---\n",
    "end of document": said("...\n"),
    "empty metadata": said("metadata:\n"),
    "words that YAML takes for values": said(description="null", rest="license: yes\n"),
    "a number": said(name="123"),
    "letters of other scripts": said(name="über-技能-ναι"),
    "composed characters": said(name="cafe\u0301"),
    "emoji": said(description="🦀 and \u200b"),
    "longest name": said(name="a" * 64),
    "longest description": said(description="x" * 1024),
    "longest compatibility": said(f"compatibility: {'x' * 500}\n"),
    "a long body": said() + "text\n" * 100_000,
}
INVALID = {
    "empty": "",
    "no front matter": "# Title\n\ntext",
    "text first": f"\n{said()}",
    "byte order mark": f"\ufeff{said()}",
    "no end": HEAD,
    "no fields": "---\n---\n",
    "only a comment": "---\n# x\n---\n",
    "a list": "---\n- a\n- b\n---\n",
    "a text": "---\nabc\n---\n",
    "no name": "---\ndescription: x\n---\n",
    "no description": f"---\nname: {NAME}\n---\n",
    "empty name": said(name=""),
    "empty description": said(description=""),
    "blank description": said(description="'   '"),
    "name is a list": said(name="\n  - a"),
    "description is a list": said(description="\n  - a"),
    "description is a mapping": said(description="\n  a: b"),
    "compatibility is a list": said("compatibility:\n  - a\n"),
    "compatibility is a mapping": said("compatibility:\n  a: b\n"),
    "another name than the folder's": said(name="another"),
    "capitals": said(name="My-Skill"),
    "other capitals": said(name="Ünder"),
    "underscore": said(name="my_skill"),
    "space": said(name="my skill"),
    "emoji name": said(name="skill-🦀"),
    "hyphen first": said(name="-skill"),
    "hyphen last": said(name="skill-"),
    "two hyphens": said(name="my--skill"),
    "name too long": said(name="a" * 65),
    "description too long": said(description="x" * 1025),
    "compatibility too long": said(f"compatibility: {'x' * 501}\n"),
    "unknown field": said("version: 1\n"),
    "field with a capital": said("License: MIT\n"),
    "number as key": said("1: x\n"),
    "key twice": said("license: MIT\nlicense: MIT\n"),
    "name twice": said(f"name: {NAME}\n"),
    "metadata key twice": said("metadata:\n  a: b\n  a: c\n"),
    "merge key": said("<<: x\n"),
    "colon": said(description="Use when: x"),
    "colon last": said(description="Use when:"),
    "colon in another line": said(description="Use\n  when: x"),
    "flow mapping": said("metadata: {a: b}\n"),
    "flow list": said("allowed-tools: [Read]\n"),
    "anchor": said("license: &a MIT\n"),
    "alias": said("license: &a MIT\ncompatibility: *a\n"),
    "unknown alias": said("license: *a\n"),
    "tag": said("license: !!str MIT\n"),
    "directive": f"---\n%YAML 1.1\nname: {NAME}\ndescription: x\n---\n",
    "tab": said("metadata:\n\ta: b\n"),
    "uneven": said("metadata:\n  a: b\n   c: d\n"),
    "control character": said(description="a\x07b"),
    "at": said(description="@x"),
    "backtick": said(description="`x` y"),
    "hyphen": said(description="- x"),
    "open quote": said(description="'x"),
    "unknown escape": said(description='"\\q"'),
    "huge escape": said(description='"\\UFFFFFFFF"'),
    "nested without end": said(f"license: {'[' * 5000}\n"),
    "not UTF-8": said().encode() + b"\xff\xfe",
    "UTF-16": said().encode("utf-16"),
    "binary": b"\x7fELF\0\0\x01\xff",
}
# What the format forbids, or programs disagree on, and the reference validator lets pass.
STRICTER = {
    "metadata is a text": said("metadata: text\n"),
    "metadata is a list": said("metadata:\n  - a\n"),
    "nested metadata": said("metadata:\n  a:\n    b: c\n"),
    "license is a list": said("license:\n  - MIT\n"),
    "allowed-tools is a list": said("allowed-tools:\n  - Read\n"),
    "empty compatibility": said('compatibility: ""\n'),
    "a fence within a line": said(description="one --- two"),
    "the end of a line for some": said(description="'one\u2028two'"),
    "half a character": said(description='"\\ud800"'),
    "too large": said() + "x" * MAX_BYTES,
    "too much front matter": said("# x\n" * MAX_FRONT_MATTER),
}


def written(folder: Path, content: str | bytes) -> Path:
    """A skill with this SKILL.md, in a folder of the right name if there can be one."""
    data = content.encode() if isinstance(content, str) else content
    parsed = read(content, "")[0] if isinstance(content, str) else None
    known = isinstance(content, str) and "name: another" not in content and parsed
    path = folder / (parsed.name if known and parsed else NAME)
    path.mkdir()
    (path / "SKILL.md").write_bytes(data)
    return path


def reference(path: Path) -> bool:
    """Whether the reference validator takes it. Some things it fails on."""
    validator = pytest.importorskip("skills_ref.validator", reason="skills-ref isn't installed")
    try:
        return not validator.validate(path)
    except (AttributeError, OverflowError, ValueError):
        return False


class TestAsTheReferenceValidator:
    @pytest.mark.parametrize("case", VALID)
    def test_valid(self, tmp_path: Path, case: str) -> None:
        path = written(tmp_path, VALID[case])
        assert validate(path) == []
        assert reference(path)
        assert load(path).skill is not None

    @pytest.mark.parametrize("case", INVALID)
    def test_invalid(self, tmp_path: Path, case: str) -> None:
        path = written(tmp_path, INVALID[case])
        problems = validate(path)
        assert problems
        assert not reference(path)
        for problem in problems:
            assert problem.path == path / "SKILL.md"
            assert problem.line >= 1
            assert str(problem).isprintable()

    @pytest.mark.parametrize("case", STRICTER)
    def test_stricter(self, tmp_path: Path, case: str) -> None:
        path = written(tmp_path, STRICTER[case])
        assert len(validate(path)) == 1
        assert reference(path)

    def test_by_its_command(self, tmp_path: Path) -> None:
        program = Path(sys.executable).with_name("agentskills")
        if not program.exists():
            pytest.skip("skills-ref isn't installed")
        for name, content in (("good", VALID["all fields"]), ("bad", INVALID["capitals"])):
            folder = tmp_path / name
            folder.mkdir()
            path = written(folder, content)
            done = subprocess.run([program, "validate", path], capture_output=True, check=False)
            assert bool(validate(path)) == bool(done.returncode)

    def test_what_is_no_skill(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        for name in ("missing", "file", "."):
            assert not reference(tmp_path / name)
            (problem,) = validate(tmp_path / name)
            assert problem.line == 0

    def test_by_the_name_of_its_file_and_in_small_letters(self, tmp_path: Path) -> None:
        path = written(tmp_path, said())
        assert validate(path / "SKILL.md") == []
        (path / "SKILL.md").rename(path / "skill.md")
        assert reference(path)
        assert [p.message for p in validate(path / "skill.md")] == ["its name has to be SKILL.md"]
        assert load(path).skill


class TestReadLeniently:
    @pytest.mark.parametrize(
        ("content", "line", "words"),
        [
            (said(name="another"), 2, "'another' isn't that of the folder, 'my-skill'"),
            (said(description="x" * 1068), 3, "1068 characters, 1024 are allowed"),
            (said("version: 2\n"), 4, "unknown field 'version'; there are name, description"),
            (said("license: a\nlicense: b\n"), 5, "'license' is there twice, first on line 4"),
            (said("metadata: {a: b}\n"), 4, "brackets aren't read by every program"),
            (f"\ufeff{said()}", 1, "byte order mark"),
            (said("allowed-tools:\n  - Read\n"), 4, "'allowed-tools' has to be one text"),
            (said("metadata:\n  a: b\n  c:\n    d: e\n"), 7, "a text is expected here"),
        ],
    )
    def test_what_is_only_warned_of(self, content: str, line: int, words: str) -> None:
        found, faults = read(content, NAME)
        assert found is not None
        assert found.body == "# Body"
        (fault,) = faults
        assert (fault.line, fault.fatal) == (line, False)
        assert words in fault.message

    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("Use when: the user asks: this", "Use when: the user asks: this"),
            ("Use when:", "Use when:"),
            ('it\'s: "this"', 'it\'s: "this"'),
            ("Use\n  when: this\n\n  and: that", "Use when: this\nand: that"),
        ],
    )
    def test_a_colon_that_lacks_quotes(self, written: str, meant: str) -> None:
        found, (fault,) = read(said("license: MIT\n", description=written), NAME)
        assert found is not None
        assert (found.description, found.license) == (meant, "MIT")
        assert "has to be quoted" in fault.message

    def test_the_first_fault_is_told_where_quotes_do_not_help(self) -> None:
        found, (fault,) = read(said("license: [\n", description="when: x"), NAME)
        assert found is None
        assert (fault.line, fault.fatal) == (3, True)
        assert fault.message == "not YAML: mapping values are not allowed here"

    def test_fields(self) -> None:
        found, faults = read(VALID["all fields"], NAME)
        assert found is not None
        assert faults == []
        assert (found.license, found.compatibility) == ("MIT", "Needs git")
        assert found.metadata == {"author": "me", "version": "1.0"}
        assert found.allowed_tools == ("Bash(git:*)", "Read")
        lenient, _ = read(said("allowed-tools: [Read, Write]\nmetadata: {a: 1}\n"), NAME)
        assert lenient is not None
        assert (lenient.allowed_tools, lenient.metadata) == (("Read", "Write"), {"a": "1"})

    @pytest.mark.parametrize("name", ["a" * 129, '"a\\nb"', '"a\\u202eb"'])
    def test_a_name_that_no_model_can_be_told(self, name: str) -> None:
        found, faults = read(said(name=name), NAME)
        assert found is None
        assert any("can't be used" in fault.message for fault in faults)


PIECES = st.sampled_from(
    [
        *("name: a", "description: x", "\n", "\n", "---\n", "---", ": ", "- ", "  ", "'", '"', "|"),
        *("metadata:", "  k: v", "license: ", "allowed-tools: ", "{", "}", "[", "]", "&a ", "*a"),
        *(
            "!!str ",
            "\t",
            "...",
            "%",
            "?",
            "<<: ",
            "\ufeff",
            "\u2028",
            "\x85",
            "\0",
            "🦀",
            "\\U",
            "#",
        ),
        *("\ud800", "x" * 1100, "[" * 2000, "&a [*a]", "\r", "compatibility: "),
    ]
)


def test_only_so_many_faults_are_told_and_the_fatal_ones_among_them() -> None:
    found, faults = read("---\nname: a\n" + "x:\n" * 1000 + "---\n", "a")
    assert found is None
    assert len(faults) == MAX_FAULTS
    assert [fault.message for fault in faults if fault.fatal] == [
        "'description' is missing; add it"
    ]


@given(st.lists(PIECES).map("".join))
def test_any_text_is_a_skill_or_faults(text: str) -> None:
    for content in (text, f"---\n{text}\n---\n", f"---\nname: a\ndescription: x\n{text}\n---\n"):
        found, faults = read(content, "a")
        assert (found is None) == any(fault.fatal for fault in faults)
        lines = len(content.splitlines()) + 1
        assert all(1 <= fault.line <= lines for fault in faults)
