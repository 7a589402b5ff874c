"""The code that is generated from proto/ is what is checked in."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VENVS = [os.environ.get("AXTUI_CODEGEN_VENV", ""), str(ROOT / ".venv-codegen"), "/tmp/codegen"]


def test_generated_code_is_fresh(tmp_path):
    venv = next((v for v in VENVS if v and os.access(f"{v}/bin/protoc-gen-mypy", os.X_OK)), None)
    if venv is None:
        pytest.skip("no venv with grpc_tools: set AXTUI_CODEGEN_VENV, or run proto/generate")
    subprocess.run(
        [ROOT / "proto/generate", tmp_path],
        env={**os.environ, "AXTUI_CODEGEN_VENV": venv},
        check=True,
        timeout=60,
    )
    assert _generated(tmp_path) == _generated(ROOT)


def _generated(root):
    paths = (root / "axtui").glob("*/*_pb2.py*")
    return {str(path.relative_to(root)): path.read_bytes() for path in paths}
