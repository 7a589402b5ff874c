"""`axtui --serve-web` as users have it, and a real browser."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from axtui.runtime.config import Config

from .harness import SECONDS, end_holder

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--window-size=1280,800",
)
_AGAIN_SECONDS = 3.0
# All that the page is sent, as text; a terminal is drawn on a canvas, which nobody reads.
_LISTEN = """
window.heard = "";
const Real = WebSocket;
window.WebSocket = class extends Real {
  constructor(...given) {
    super(...given);
    const decoder = new TextDecoder();
    this.addEventListener("message", async (event) => {
      const data = event.data instanceof Blob ? await event.data.arrayBuffer() : event.data;
      window.heard += typeof data === "string" ? data : decoder.decode(data, {stream: true});
    });
  }
};
"""


class Web:
    """The command, in a process of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.config = Config(data_dir=folder / "data")
        command = [sys.executable, "-m", "axtui", "--serve-web", "--output", "json", *options]
        command += ["--data-dir", str(self.config.data_dir)]
        if (folder / "axtui.yaml").exists():
            command += ["--config", str(folder / "axtui.yaml")]
        hidden = {"AXTUI_TOKEN", "AXTUI_SERVER", "TEXTUAL_DRIVER"}
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env={name: value for name, value in os.environ.items() if name not in hidden},
        )
        assert self.process.stdout
        assert self.process.stderr
        said = self.process.stdout.readline()
        assert said, self.process.stderr.read()
        # Whatever it listens on, it is found on this machine.
        self.port = int(json.loads(said)["address"].rpartition(":")[2])

    def stop(self) -> int:
        """End it, and who drives its runs; gives back its exit status."""
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=SECONDS)
        end_holder(self.config.log_path)
        return self.process.returncode


class Browser:
    """Chromium, by the protocol of its driver. `profile` is a folder of its own."""

    def __init__(self, profile: Path) -> None:
        assert CHROMIUM
        assert DRIVER
        self._driver = subprocess.Popen(
            [DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self._driver.stdout
        for line in self._driver.stdout:
            if "started successfully on port" in line:
                self._base = f"http://127.0.0.1:{line.split()[-1].rstrip('.')}"
                break
        self._heard = 0
        options = {"binary": CHROMIUM, "args": [*_FLAGS, f"--user-data-dir={profile}"]}
        wanted = {"alwaysMatch": {"goog:chromeOptions": options}}
        self._session = ""
        made = self._post("/session", capabilities=wanted)
        self._session = f"/session/{made['sessionId']}"
        self._post(
            "/goog/cdp/execute",
            cmd="Page.addScriptToEvaluateOnNewDocument",
            params={"source": _LISTEN},
        )

    def open(self, address: str) -> None:
        """Go to a page."""
        self._post("/url", url=address)

    def type(self, *keys: str) -> None:
        """Press keys: characters, or by the codes of WebDriver."""
        actions = []
        for key in keys:
            actions += [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        self._post("/actions", actions=[{"type": "key", "id": "keys", "actions": actions}])

    def hold(self, held: str, key: str) -> None:
        """Press a key while another is held."""
        down, up = ({"type": kind, "value": held} for kind in ("keyDown", "keyUp"))
        both = [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")]
        self._post("/actions", actions=[{"type": "key", "id": "k", "actions": [down, *both, up]}])

    def run(self, script: str) -> Any:
        """What a script comes to."""
        return self._post("/execute/sync", script=script, args=[])

    def until(self, text: str, key: str = "") -> None:
        """Wait until the page was sent a text, after the one that was waited for before. A key, if
        there is one, is pressed, and again if nothing comes of it: where the focus is can't be
        told, and it moves a moment after the key for that."""
        end, again = time.monotonic() + SECONDS, 0.0
        while text not in (heard := self.run(f"return window.heard.slice({self._heard})")):
            now = time.monotonic()
            assert now < end, f"no {text!r} in {heard[-2000:]!r}"
            if key and now >= again:
                self.type(key)
                again = now + _AGAIN_SECONDS
            time.sleep(0.05)
        self._heard += heard.index(text) + len(text)

    def cookies(self) -> list[dict[str, Any]]:
        """Those of the page."""
        return list(self._call("GET", "/cookie"))

    def close(self) -> None:
        """End it."""
        if self._session:
            self._call("DELETE", "")
        self._driver.terminate()
        self._driver.communicate(timeout=SECONDS)

    def _post(self, path: str, **body: Any) -> Any:
        return self._call("POST", path, json.dumps(body).encode())

    def _call(self, method: str, path: str, body: bytes | None = None) -> Any:
        request = urllib.request.Request(
            f"{self._base}{self._session}{path}",
            data=body,
            method=method,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=SECONDS * 2) as response:
            return json.load(response)["value"]
