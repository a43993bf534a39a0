"""A real server with real (synthetic) cameras, for the tests of the client.

The programs come from the folder in FRAMEWELL_TEST_BIN, else from `target/debug` of the checkout.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any, Callable, List, Optional, TypeVar

T = TypeVar("T")
PROGRAMS = Path(os.environ.get("FRAMEWELL_TEST_BIN") or Path(__file__).parents[3] / "target" / "debug")
FPS = 10
"""Pictures per second of every camera."""


def wait_for(what: str, seconds: float, condition: Callable[[], Optional[T]]) -> T:
    """Polls until the condition gives something."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found is not None and found is not False:
            return found
        assert time.monotonic() < end, f"timed out waiting for {what}"
        time.sleep(0.05)


class Site:
    """Two cameras, a channel for each, and a group of both."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        self.socket = str(self.folder / "raw.sock")
        self._processes: List[subprocess.Popen] = []
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        cameras = self._spawn("fakecam", "--count", "2", "--fps", str(FPS), "--gop", "10", "--width", "480", "--height", "270")
        urls = json.loads(cameras.stdout.readline())["urls"]
        config = self.folder / "framewell.toml"
        config.write_text(
            f'data_dir = "{self.folder}/data"\n[raw]\nsocket = "{self.socket}"\nmax_readers = 3\n'
            "[record]\nsegment_s = 2.0\n[decoder]\nworkers = 2\n"
        )
        self._config = str(config)
        self._key = json.loads(self.account("create", "tests", "--json"))["license_key"]
        ready = self.folder / "ready.json"
        listen = ["--http-listen", "127.0.0.1:0", "--rtsp-listen", "127.0.0.1:0"]
        listen += ["--rtmp-listen", "127.0.0.1:0"]
        self.server = self._spawn("framewell", "serve", *listen, "--config", self._config, "--ready-file", str(ready))
        wait_for("the server", 60, lambda: ready.exists() or self._ended(self.server))
        self.base = f"http://{json.loads(ready.read_text())['http']}"
        self.channels = [self._channel(f"camera {n}", url) for n, url in enumerate(urls)]
        group = self.admin("POST", "/api/v3/channel_groups/", {"name": "engine", "channels": self.ids})
        self.group_token = group["token"]
        wait_for("the cameras", 40, self._is_streaming)

    @property
    def ids(self) -> List[int]:
        return [channel["id"] for channel in self.channels]

    def token(self, index: int, level: str = "all") -> str:
        """The token of one channel."""
        return self.channels[index]["access_tokens"][level]

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        """A request with the license key."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"LKey {self._key}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.base + path, data, headers, method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
            return json.loads(answer.read() or b"null")

    def metric(self, name: str) -> float:
        """A counter or gauge of the server; 0 if it never counted."""
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(self.base + "/metrics", timeout=20) as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.split("{")[0].split(" ")[0] == name)

    def account(self, *arguments: str) -> str:
        """Runs `framewell account ...` beside the server."""
        command = [str(PROGRAMS / "framewell"), "account", *arguments, "--config", self._config]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout

    def shared_memories(self) -> int:
        """How many descriptors of rings the server holds."""
        folder = Path(f"/proc/{self.server.pid}/fd")
        return sum("framewell-raw" in os.readlink(entry) for entry in folder.iterdir())

    def close(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()
        self._folder.cleanup()

    def _spawn(self, program: str, *arguments: str) -> subprocess.Popen:
        path = PROGRAMS / program
        assert path.exists(), f"{path} is missing: cargo build --workspace --bins"
        process = subprocess.Popen([str(path), *arguments], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, cwd=self.folder)
        self._processes.append(process)
        return process

    def _ended(self, process: subprocess.Popen) -> bool:
        assert process.poll() is None, f"the server ended with {process.returncode}"
        return False

    def _channel(self, name: str, url: str) -> Any:
        body = {"name": name, "rec_mode": "on", "source": {"url": url}}
        return self.admin("POST", "/api/v3/channels/", body)

    def _is_streaming(self) -> bool:
        channels = self.admin("GET", "/v1/channels")["channels"]
        return all(channel["video"] and channel["video"]["newest"] for channel in channels)
