"""A power cut at every sync: what was told must be in what was synced, whatever else is left.

A shim under the program (trace.c) records what it does to its files and what it tells, in one
order. From that come the images of the disk after a cut, and the real program has to go on with
each of them. `pytest -m long tests/crash` tries more jobs, and more ways in which the writes since
the last sync may have reached the disk.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from .conftest import Pool
from .disk import Disk, Record, read_trace
from .harness import (
    BARE,
    DEMO,
    EFFECTS,
    HERE,
    IDEMPOTENT,
    MIXED,
    SHELL,
    Job,
    Kill,
    Reference,
    Trial,
    Violation,
    Zygote,
    lines_of,
    reference,
)

SHORT_IMAGES = 16
LONG_TORN = 6


class Scene(NamedTuple):
    """A job as it is traced: killed some times, then left to end."""

    name: str
    job: Job
    kills: tuple[Kill, ...] = ()


class Image(NamedTuple):
    """A disk after a power cut, what had been told by then, and what had taken effect."""

    label: str
    files: dict[str, bytes]
    told: list[bytes]
    world: dict[str, bytes]


def _small(job: Job) -> Job:
    return replace(job, meddle=("small",))


SHORT = [
    Scene("shell", SHELL),
    Scene("mixed-once", _small(MIXED), (Kill("after", 12),)),
]
LONG = [
    Scene("shell-killed", SHELL, (Kill("before", 9), Kill("after", 4))),
    Scene("shell-small", _small(SHELL), (Kill("after", 11),)),
    Scene("idempotent", _small(IDEMPOTENT), (Kill("after", 8), Kill("after", 6))),
    Scene("demo", DEMO),
    Scene("demo-small", _small(DEMO), (Kill("after", 8), Kill("before", 5))),
    Scene("mixed", MIXED),
    Scene("mixed-small", _small(MIXED), (Kill("after", 9), Kill("after", 4))),
    Scene("young", SHELL, (Kill("after", 2), Kill("after", 4), Kill("before", 6))),
]


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled trace.c."""
    if sys.platform != "linux":
        pytest.skip("the shim that follows syncs is for Linux")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("there is no C compiler for the shim that follows syncs")
    library = tmp_path_factory.mktemp("shim") / "trace.so"
    source = str(HERE / "trace.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


def _record(shim: Path, root: Path, scene: Scene) -> list[Record]:
    """Run a scene with the shim under it."""
    trace = root.with_suffix(".trace")
    (root / "said").mkdir(parents=True)
    environment = {"LD_PRELOAD": str(shim), "CRASH_ROOT": str(root), "CRASH_TRACE": str(trace)}
    with Zygote(root / "said", environment) as zygote:
        trial = Trial(zygote, root, scene.job, config=BARE)
        for kill in (*scene.kills, None):
            argv = scene.job.argv() if not trial.acknowledged else ["--resume"]
            if trial.acknowledged:
                argv += scene.job.policies()
            ended = trial.command("exec", "--conversation", trial.name, *argv, kill=kill)
            trial.note(ended)
            if not ended.killed:
                break
    assert ended.status == 0, ended
    assert trial.kills or not scene.kills
    return list(read_trace(trace))


def _images(records: Sequence[Record], root: Path, torn: int, seed: str) -> Iterator[Image]:
    """A power cut just before each sync, when the one before is long over, and at the end."""
    disk = Disk()
    data, said, work = (root / name for name in ("data", "said", "work"))
    told: dict[str, bytes] = {}
    tried: set[int] = set()
    for number, record in enumerate([*records, None]):
        if record is None or record.what == "B":
            chance = random.Random(f"{seed} {number}")
            world = disk.everything(work)
            variants = [("nothing", disk.nothing_more(data)), ("all", disk.everything(data))]
            variants += [(f"torn {n}", disk.torn(data, chance)) for n in range(torn)]
            for kind, files in variants:
                image = Image(f"{kind} at {number}", files, list(told.values()), world)
                known = hash((*sorted(files.items()), *image.told, *sorted(world.items())))
                if known not in tried:
                    tried.add(known)
                    yield image
        if record is None:
            break
        if record.what == "W" and said in Path(record.path).parents:
            told[record.path] = told.get(record.path, b"") + record.data
        disk.follow(record)
    assert disk.syncs or not any(record.what == "S" for record in records)


def _restore(image: Image, root: Path) -> None:
    for folder in ("data", "work"):
        shutil.rmtree(root / folder, ignore_errors=True)
    for path, content in (*image.files.items(), *image.world.items()):
        # Memory that processes share is never synced, and never read after a restart.
        if not path.endswith("-shm"):
            Path(path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            Path(path).write_bytes(content)


def _go_on(zygote: Zygote, root: Path, scene: Scene, image: Image, undisturbed: Reference) -> None:
    """The real program opens an image, and ends the job."""
    _restore(image, root)
    trial = Trial(zygote, root, replace(scene.job, meddle=()))
    for said in image.told:
        for line in lines_of(said):
            if "seq" in line:
                trial.acknowledge(line)
    trial.observe()
    ended = trial.finish()
    if ended.status:
        raise Violation(f"the resumed run ended with {ended.status}: {ended.lines[-1:]}")
    trial.check_outcome(undisturbed)


_Pick = Callable[[Iterable[Image], str], Iterable[Image]]


def _all(images: Iterable[Image], seed: str) -> Iterable[Image]:
    return images


def _some(images: Iterable[Image], seed: str) -> Iterable[Image]:
    # What a process that saw all of it would find is what a SIGKILL leaves.
    found = [image for image in images if not image.label.startswith("all")]
    return random.Random(seed).sample(found, min(SHORT_IMAGES, len(found)))


def _told(images: Iterable[Image], seed: str) -> Iterable[Image]:
    return (image for image in images if any(image.told) and image.label.startswith("nothing"))


def _cut_everywhere(
    pool: Pool, shim: Path, folder: Path, scenes: Sequence[Scene], torn: int, pick: _Pick
) -> int:
    """How many images were gone on with."""

    def one(zygote: Zygote, scene: Scene) -> int:
        undisturbed = reference(zygote, folder / f"{scene.name}-reference", scene.job)
        root = folder / scene.name
        records = _record(shim, root, scene)
        assert any(EFFECTS in record.path for record in records) or scene.job.agent == "demo"
        count = 0
        for image in pick(_images(records, root, torn, scene.name), scene.name):
            try:
                _go_on(zygote, root, scene, image, undisturbed)
            except Violation as error:
                error.add_note(f"{scene.name}: {image.label}")
                raise
            count += 1
        return count

    return sum(pool.map(one, scenes))


def test_power_cut_at_every_sync(pool: Pool, shim: Path, tmp_path: Path) -> None:
    count = _cut_everywhere(pool, shim, tmp_path.resolve(), SHORT, 1, _some)
    assert count > len(SHORT) * SHORT_IMAGES / 2


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_power_cut_at_every_sync_of_many_jobs(pool: Pool, shim: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    count = _cut_everywhere(pool, shim, tmp_path.resolve(), SHORT + LONG, LONG_TORN, _all)
    print(f"{count} images in {time.monotonic() - began:.0f} s")
    assert count > 1000


@pytest.mark.parametrize("mutant", ["unsynced", "half-synced", "early"])
def test_what_is_told_too_early_is_found(
    pool: Pool, shim: Path, tmp_path: Path, mutant: str
) -> None:
    scene = Scene(mutant, replace(SHELL, meddle=(mutant,)))
    # Told before its commit, a step may also have begun before it.
    with pytest.raises(Violation, match=r"acknowledged event|with 0 intents"):
        _cut_everywhere(pool, shim, tmp_path.resolve(), [scene], 0, _told)
