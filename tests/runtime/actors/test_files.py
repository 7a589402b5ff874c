"""What models can do with the files of a workspace, and that they reach no others."""

from __future__ import annotations

import os
import re
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from axtui.agent import ToolError
from axtui.runtime.actors import files
from axtui.runtime.actors.confined import MAX_DEPTH
from axtui.runtime.actors.files import MAX_FILE, MAX_LINES, MAX_LISTED, MAX_TEXT, Workspace


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The workspace, beside which there is a secret."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("hush")
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture
def workspace(folder: Path) -> Workspace:
    return Workspace(str(folder))


class TestReading:
    def test_a_file(self, folder: Path, workspace: Workspace) -> None:
        (folder / "file").write_text("one\ntwo\nthree")
        for path in ("file", "./file", str(folder / "file"), "sub/../file"):
            (folder / "sub").mkdir(exist_ok=True)
            assert workspace.read_file(path) == "one\ntwo\nthree"

    def test_some_lines(self, folder: Path, workspace: Workspace) -> None:
        (folder / "file").write_text("one\ntwo\nthree\nfour\n")
        assert workspace.read_file("file", 2, 2) == (
            "two\nthree\n[lines 2 to 3 of 4; go on with start_line=4]"
        )
        assert workspace.read_file("file", 4) == "four\n[lines 4 to 4 of 4]"
        for start in (0, 5):
            with pytest.raises(ToolError, match=f"has the lines 1 to 4; there is no {start}"):
                workspace.read_file("file", start)

    def test_more_than_is_shown_at_once(self, folder: Path, workspace: Workspace) -> None:
        (folder / "long").write_text("x\n" * (MAX_LINES + 1))
        said = workspace.read_file("long", 1, 10**9)
        assert said.endswith(
            f"[lines 1 to {MAX_LINES} of {MAX_LINES + 1}; go on with start_line={MAX_LINES + 1}]"
        )
        (folder / "wide").write_text(("x" * 60_000 + "\n") * 4)
        assert "[lines 1 to 2 of 4; go on with start_line=3]" in workspace.read_file("wide")
        (folder / "one").write_text("x" * (MAX_TEXT + 1))
        said = workspace.read_file("one")
        assert said.startswith("x" * MAX_TEXT + "\n[line 1 is cut: it has")

    def test_nothing_in_it(self, folder: Path, workspace: Workspace) -> None:
        (folder / "empty").touch()
        assert workspace.read_file("empty") == "[the file is empty]"

    def test_what_is_no_text(self, folder: Path, workspace: Workspace) -> None:
        (folder / "latin").write_bytes(b"f\xfcr\n")
        assert workspace.read_file("latin") == "f\ufffdr\n"
        (folder / "binary").write_bytes(b"\x7fELF\0")
        with pytest.raises(ToolError, match="binary is no text: it has 5 bytes"):
            workspace.read_file("binary")

    def test_what_is_no_file(self, folder: Path, workspace: Workspace) -> None:
        os.mkfifo(folder / "pipe")
        for path in ("pipe", ".", "", "/dev/null"):
            with pytest.raises(ToolError):
                workspace.read_file(path)
        with pytest.raises(ToolError, match="there is no sub/file; list_files shows what there is"):
            workspace.read_file("sub/file")
        (folder / "file").touch()
        with pytest.raises(ToolError, match="file/x: Not a directory"):
            workspace.read_file("file/x")

    def test_too_long_a_file(self, folder: Path, workspace: Workspace) -> None:
        with (folder / "huge").open("wb") as file:
            file.truncate(MAX_FILE + 1)
        with pytest.raises(ToolError, match="is longer than 8,388,608 bytes"):
            workspace.read_file("huge")


class TestWriting:
    def test_a_new_file_in_new_folders(self, folder: Path, workspace: Workspace) -> None:
        assert workspace.write_file("a/b/file", "one\ntwo\n") == "made a/b/file: 2 lines"
        assert (folder / "a" / "b" / "file").read_text() == "one\ntwo\n"
        umask = os.umask(0)
        os.umask(umask)
        assert stat.S_IMODE((folder / "a" / "b" / "file").stat().st_mode) == 0o666 & ~umask

    def test_a_file_is_replaced_at_once_and_keeps_its_mode(
        self, folder: Path, workspace: Workspace
    ) -> None:
        file = folder / "script"
        file.write_text("old")
        file.chmod(0o751)
        with file.open() as opened:
            assert workspace.write_file("script", "new") == "replaced script: 1 lines"
            assert opened.read() == "old"
        assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == ("new", 0o751)
        assert os.listdir(folder) == ["script"]

    def test_nothing_is_left_of_what_fails(self, folder: Path, workspace: Workspace) -> None:
        (folder / "sub").mkdir()
        os.mkfifo(folder / "pipe")
        for path in ("sub", "pipe", ".", "file\0"):
            with pytest.raises(ToolError):
                workspace.write_file(path, "x")
        for content in ("x" * (MAX_FILE + 1), "\ud800"):
            with pytest.raises(ToolError):
                workspace.write_file("file", content)
        assert sorted(os.listdir(folder)) == ["pipe", "sub"]

    def test_a_folder_that_cant_be_written(self, folder: Path, workspace: Workspace) -> None:
        if os.getuid() == 0:
            pytest.skip("root may write everywhere")
        folder.chmod(0o500)
        try:
            with pytest.raises(ToolError, match="file: Permission denied"):
                workspace.write_file("file", "x")
        finally:
            folder.chmod(0o700)


class TestEditing:
    def test_one_piece(self, folder: Path, workspace: Workspace) -> None:
        (folder / "file").write_text("one\ntwo\nthree\n")
        said = workspace.edit_file("file", "two\n", "2\n2½\n")
        assert said == "changed file at line 2; it has +1 lines now"
        assert (folder / "file").read_text() == "one\n2\n2½\nthree\n"

    def test_line_ends_of_windows_stay(self, folder: Path, workspace: Workspace) -> None:
        (folder / "file").write_bytes(b"one\r\ntwo\r\nthree\r\n")
        workspace.edit_file("file", "one\ntwo\n", "1\n2\n")
        assert (folder / "file").read_bytes() == b"1\r\n2\r\nthree\r\n"

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("", "x", "`old` is empty"),
            ("x", "x", "the same"),
            ("four", "x", "`old` isn't in file; read the file again"),
            ("two\n", "x", "first line is like line 2: '  two '"),
            ("e", "x", "`old` is in file 3 times, at lines 1, 3, 3; add lines around it"),
        ],
    )
    def test_what_doesnt_fit(
        self, folder: Path, workspace: Workspace, old: str, new: str, said: str
    ) -> None:
        (folder / "file").write_text("one\n  two \nthree\n")
        with pytest.raises(ToolError, match=re.escape(said)):
            workspace.edit_file("file", old, new)
        assert (folder / "file").read_text() == "one\n  two \nthree\n"

    def test_what_is_no_text(self, folder: Path, workspace: Workspace) -> None:
        (folder / "latin").write_bytes(b"f\xfcr\n")
        with pytest.raises(ToolError, match="isn't UTF-8 text"):
            workspace.edit_file("latin", "f", "x")


class TestListing:
    def test_a_folder(self, folder: Path, workspace: Workspace) -> None:
        assert workspace.list_files() == "[there is nothing]"
        (folder / "sub").mkdir()
        (folder / "sub" / "deep").touch()
        (folder / "file").touch()
        (folder / "link").symlink_to("sub")
        assert workspace.list_files() == "file\nlink\nsub/"
        for path in ("sub", "link", "./sub/", str(folder / "sub")):
            assert workspace.list_files(path) == "sub/deep"
        with pytest.raises(ToolError, match="file is a file, not a folder"):
            workspace.list_files("file")

    def test_a_pattern(self, folder: Path, workspace: Workspace) -> None:
        for name in ("a.py", "b.txt", "src/c.py", "src/deep/d.py", ".git/e.py"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        (folder / "loop").symlink_to(".")
        assert workspace.list_files(".", "*.py").split("\n") == [
            "a.py",
            "src/c.py",
            "src/deep/d.py",
        ]
        assert workspace.list_files("src", "*.py").split("\n") == ["src/c.py", "src/deep/d.py"]
        assert workspace.list_files(".", "src/*.py").split("\n") == ["src/c.py", "src/deep/d.py"]
        assert workspace.list_files(".", "nothing") == "[there is nothing]"

    def test_many(
        self, folder: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(MAX_LISTED + 1):
            (folder / f"{number:05}").touch()
        for pattern in ("", "*"):
            said = workspace.list_files(".", pattern).split("\n")
            assert len(said) == MAX_LISTED + 1
            assert said[-1] == "[there are more than 1000; ask for less at a time]"
        monkeypatch.setattr(files, "MAX_VISITED", 1000)
        with pytest.raises(ToolError, match="more than 1,000 files; begin at a deeper `path`"):
            workspace.list_files(".", "nothing")

    def test_folders_that_are_too_deep(self, folder: Path, workspace: Workspace) -> None:
        deep = "d/" * MAX_DEPTH
        workspace.write_file(f"{deep}file", "x")
        assert workspace.list_files(".", "fi*") == f"{deep}file"
        with pytest.raises(ToolError, match="more than 200 folders deep"):
            workspace.write_file(f"{deep}d/file", "x")
        assert os.listdir(folder / deep) == ["file"]
        os.mkdir(folder / deep / "d")
        with pytest.raises(ToolError, match="folders more than 200 deep"):
            workspace.list_files(".", "fi*")
        assert workspace.list_files("d", "fi*") == f"{deep}file"

    def test_names_that_are_no_text(self, folder: Path, workspace: Workspace) -> None:
        try:
            (folder / os.fsdecode(b"f\xfcr")).touch()
        except OSError:
            pytest.skip("this file system takes only names that are text")
        assert workspace.list_files() == "f\ufffdr"


OUT = ["../outside/secret", "/etc/passwd", "sub/../../outside/secret", "..", "link", "far", "up/x"]


class TestStayingInside:
    @pytest.fixture(autouse=True)
    def links(self, folder: Path) -> None:
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_text("inside")
        (folder / "link").symlink_to("../outside/secret")
        (folder / "far").symlink_to("/etc/passwd")
        (folder / "up").symlink_to("..")
        (folder / "new").symlink_to("../outside/new")

    @pytest.mark.parametrize("path", [*OUT, "up/outside/secret", "sub/../link"])
    def test_nothing_outside_is_reached(
        self, folder: Path, workspace: Workspace, path: str
    ) -> None:
        for call in (
            lambda: workspace.read_file(path),
            lambda: workspace.write_file(path, "x"),
            lambda: workspace.edit_file(path, "hush", "x"),
            lambda: workspace.list_files(path),
            lambda: workspace.diff("write_file", {"path": path, "content": "x"}),
        ):
            with pytest.raises(ToolError, match="only files in the workspace can be reached"):
                call()
        assert (folder.parent / "outside" / "secret").read_text() == "hush"

    def test_nothing_outside_is_made(self, folder: Path, workspace: Workspace) -> None:
        for path in ("new", "../outside/other", "up/outside/other", "sub/../../outside/a/b"):
            with pytest.raises(ToolError):
                workspace.write_file(path, "x")
        assert os.listdir(folder.parent / "outside") == ["secret"]

    def test_links_that_stay_inside_are_followed(self, folder: Path, workspace: Workspace) -> None:
        (folder / "sub" / "near").symlink_to("file")
        (folder / "sub" / "round").symlink_to("../sub/../sub/near")
        (folder / "absolute").symlink_to(folder / "sub" / "file")
        (folder / "short").symlink_to("sub")
        for path in ("sub/near", "sub/round", "absolute", "short/file", "short/near"):
            assert workspace.read_file(path) == "inside"
        workspace.write_file("short/near", "changed")
        assert (folder / "sub" / "file").read_text() == "changed"
        assert (folder / "sub" / "near").is_symlink()

    def test_links_that_lead_nowhere(self, folder: Path, workspace: Workspace) -> None:
        (folder / "round").symlink_to("round")
        with pytest.raises(ToolError, match="more than 40 links"):
            workspace.read_file("round")
        (folder / "later").symlink_to("sub/later")
        workspace.write_file("later", "here now")
        assert (folder / "sub" / "later").read_text() == "here now"

    def test_a_workspace_that_is_named_by_a_link(self, folder: Path) -> None:
        (folder.parent / "alias").symlink_to(folder)
        workspace = Workspace(str(folder.parent / "alias"))
        for path in ("sub/file", str(folder / "sub" / "file"), f"{folder.parent}/alias/sub/file"):
            assert workspace.read_file(path) == "inside"

    def test_what_is_axtuis_own(self, folder: Path) -> None:
        (folder / "data").mkdir()
        (folder / "data" / "log.db").write_text("events")
        (folder / "runs.db").write_text("events")
        (folder / "way").symlink_to("data")
        hidden = [str(folder / "data"), str(folder / "runs.db"), str(folder.parent / "outside")]
        workspace = Workspace(str(folder), hidden)
        for path in ("data/log.db", "data", "data/new/file", "runs.db", "way/log.db"):
            for call in (
                lambda path=path: workspace.read_file(path),
                lambda path=path: workspace.write_file(path, "x"),
            ):
                with pytest.raises(ToolError, match="belongs to axtui itself"):
                    call()
        assert os.listdir(folder / "data") == ["log.db"]
        assert "data" not in workspace.list_files()
        assert "log.db" not in workspace.list_files(".", "*")
        assert "runs.db" not in workspace.list_files(".", "*")

    def test_a_workspace_that_is_axtuis_own_folder(self, folder: Path) -> None:
        assert Workspace(str(folder), [str(folder)]).read_file("sub/file") == "inside"

    @pytest.mark.parametrize("what", ["folder", "file"])
    def test_who_swaps_links_while_we_look_wins_nothing(
        self, folder: Path, workspace: Workspace, swapping: None, what: str
    ) -> None:
        read = set()
        for number in range(500):
            path = "swapped/secret" if what == "folder" else "single"
            try:
                read.add(workspace.read_file(path))
                workspace.write_file(path, "inside" if number % 2 else "also inside")
            except ToolError:
                continue
        assert "hush" not in read
        assert (folder.parent / "outside" / "secret").read_text() == "hush"

    @pytest.fixture
    def swapping(self, folder: Path) -> Iterator[None]:
        """Somebody who puts now a link to the outside in a place and now something harmless."""
        (folder / "inner").mkdir()
        (folder / "inner" / "secret").write_text("inside")
        (folder / "harmless").write_text("inside")
        over = threading.Event()

        def swap() -> None:
            while not over.is_set():
                for name, good, bad in (
                    ("swapped", "inner", "../outside"),
                    ("single", "harmless", "../outside/secret"),
                ):
                    for target in (good, bad):
                        spare = folder / f"{name}.spare"
                        spare.symlink_to(target)
                        spare.rename(folder / name)

        thread = threading.Thread(target=swap)
        thread.start()
        yield
        over.set()
        thread.join()


class TestDiffs:
    def test_of_a_call(self, folder: Path, workspace: Workspace) -> None:
        (folder / "file").write_text("one\ntwo\n")
        edit = {"path": "file", "old": "two", "new": "2"}
        wanted = "--- a/file\n+++ b/file\n@@ -1,2 +1,2 @@\n one\n-two\n+2"
        assert workspace.diff("edit_file", edit) == wanted
        write = {"path": "file", "content": "one\n2\n"}
        assert workspace.diff("write_file", write) == wanted
        assert (folder / "file").read_text() == "one\ntwo\n"
        assert workspace.diff("read_file", {"path": "file"}) == ""

    def test_of_a_new_file(self, folder: Path, workspace: Workspace) -> None:
        said = workspace.diff("write_file", {"path": "a/b", "content": "one\n"})
        assert said == "--- a/a/b\n+++ b/a/b\n@@ -0,0 +1 @@\n+one"
        assert os.listdir(folder) == []

    def test_of_an_edit_that_doesnt_fit(self, folder: Path, workspace: Workspace) -> None:
        (folder / "file").write_text("one\n")
        with pytest.raises(ToolError, match="isn't in file"):
            workspace.diff("edit_file", {"path": "file", "old": "two", "new": "2"})

    def test_a_long_one_is_cut(self, folder: Path, workspace: Workspace) -> None:
        (folder / "file").write_text("x\n" * 1000)
        said = workspace.diff("write_file", {"path": "file", "content": "y" * 1000 + "\n"})
        assert len(said.split("\n")) == files.MAX_DIFF_LINES + 1
        assert "more lines of the diff]" in said
        said = workspace.diff("write_file", {"path": "new", "content": "y" * 1000})
        assert said.endswith("y" * (files.MAX_DIFF_LINE - 1) + "…")
        said = workspace.diff("write_file", {"path": "file", "content": "y\n" * 6000})
        assert said == "file: 1,000 lines become 6,000, too many to compare"

    def test_lines_that_take_long_to_compare(self, folder: Path, workspace: Workspace) -> None:
        # Each is just rare enough for difflib to look at all pairs of them, again and again.
        repeated = [f"{number % 50}" for number in range(2490)]
        (folder / "file").write_text("\n".join(repeated * 2))
        content = "\n".join(f"{line}\nnew {at}" for at, line in enumerate(repeated))
        started = time.monotonic()
        said = workspace.diff("write_file", {"path": "file", "content": content})
        assert said == "file: 4,980 lines become 4,980, too many to compare"
        assert time.monotonic() - started < 10

    def test_long_files_are_compared(self, folder: Path, workspace: Workspace) -> None:
        lines = [f"{number}" if number % 4 else "" for number in range(5000)]
        (folder / "file").write_text("\n".join(lines))
        del lines[::25]
        said = workspace.diff("write_file", {"path": "file", "content": "\n".join(lines)})
        assert "more lines of the diff]" in said
