"""Peers run in environments of their own, made from `peers/NAME.txt`, as processes that speak JSON lines.

`environment("openvino_int8")` makes the environment once, in a folder of the user's cache, and gives its
Python; `Peer("openvino_int8").ask({"do": "open", ...})` calls a function of `peers/openvino_int8.py` in it.
`python -m benchmarks.environments [NAME ...]` makes them ahead and says which cannot be had, and why.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

PEERS = Path(__file__).parent / "peers"
READY = "ready"
_ALONE = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    "ORT_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}
# A script stands beside others that may be called like a library: its folder comes last on the path.
_RUN = "import runpy, sys; sys.path.append(sys.argv[1]); runpy.run_path(sys.argv[2], run_name='__main__')"
_FOREIGN = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")


class PeerMissing(Exception):
    """A peer's environment cannot be made here; the text says why."""


class PeerFailed(Exception):
    """A peer ended, or a function of it raised; the text has what it said."""


def home() -> Path:
    """Where environments are kept: $HEADRACE_PEERS, else a folder of the user's cache."""
    chosen = os.environ.get("HEADRACE_PEERS")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(chosen) if chosen else cache / "headrace-peers"


def names() -> list[str]:
    """Every peer that has a list of packages."""
    return sorted(path.stem for path in PEERS.glob("*.txt"))


def environment(name: str, *, say: Callable[[str], object] = lambda line: None) -> Path:
    """The Python of the peer's environment, which is made where it is not there yet.

    Another list of packages or another Python makes another environment. Raises PeerMissing with the reason.
    """
    listed = PEERS / f"{name}.txt"
    if not listed.is_file():
        raise PeerMissing(f"{name}: there is no {listed.name}; known: {', '.join(names())}")
    stamp = hashlib.sha256(listed.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = home() / f"{name}-{stamp}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (folder / READY).is_file():
        say(f"{name}: making its environment in {folder}")
        _make(name, listed, folder, python)
    return python


def _make(name: str, listed: Path, folder: Path, python: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    venv.create(folder, with_pip=True, symlinks=os.name != "nt")
    try:
        torch = [line for line in listed.read_text("utf-8").split() if line.startswith("torch==")]
        if torch:  # first and alone, so that nothing else chooses its build
            _pip(name, python, torch)
        _pip(name, python, ["-r", str(listed)])
    except PeerMissing:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    (folder / READY).write_text("", "utf-8")


def _pip(name: str, python: Path, what: Sequence[str]) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what]
    done = subprocess.run(command, capture_output=True, text=True, env=_surroundings(None))
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if "ERROR" in line] or done.stderr.splitlines()
        raise PeerMissing(f"{name} cannot be installed: {' '.join(said[:3]) or 'pip failed'}")


def _surroundings(threads: int | None) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key not in _FOREIGN}
    limits = {} if threads is None else {key: str(threads) for key in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    return kept | _ALONE | limits


def versions(name: str) -> dict[str, str]:
    """Package -> version of the peer's list."""
    lines = (PEERS / f"{name}.txt").read_text("utf-8").splitlines()
    pairs = (line.split("#")[0].strip().partition("==") for line in lines)
    return {package: version for package, _, version in pairs if version}


class Peer:
    """A peer's process. `ask({"do": NAME, ...})` calls a function of its script; close it, or use `with`.

    `script` is a file of `peers/` without `.py`, by default the environment's name. `cores` pins the process,
    `threads` is what its libraries may use (None: their own choice).
    """

    def __init__(
        self,
        name: str,
        script: str | None = None,
        *,
        threads: int | None = 1,
        cores: Collection[int] = (),
        say: Callable[[str], object] = lambda line: None,
    ) -> None:
        self.name = name
        surroundings = _surroundings(threads)
        surroundings["HEADRACE_PEER_CORES"] = ",".join(map(str, sorted(cores)))
        path = str(PEERS / f"{script or name}.py")
        self._process = subprocess.Popen(
            [str(environment(name, say=say)), "-P", "-u", "-c", _RUN, str(PEERS), path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=surroundings,
            text=True,
            encoding="utf-8",
        )

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def ask(self, what: Mapping[str, Any]) -> dict[str, Any]:
        """What the function named by `do` returns for the other entries; PeerFailed where it raises."""
        try:
            line = _send(self._pipe(self._process.stdin), self._pipe(self._process.stdout), what)
        except BrokenPipeError:
            line = ""
        if not line:
            raise PeerFailed(f"{self.name} ended with status {self._process.wait(30)}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise PeerFailed(f"{self.name}: {answer['error']}")
        return answer

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        if pipe is None:
            raise PeerFailed("the peer has no pipe")
        return pipe

    def close(self) -> None:
        """End the process: its input ends, and where that does not do, it is killed."""
        self._pipe(self._process.stdin).close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._pipe(self._process.stdout).close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _send(asked: IO[str], answered: IO[str], what: Mapping[str, Any]) -> str:
    asked.write(json.dumps(what) + "\n")
    asked.flush()
    return answered.readline()


def main(wanted: Sequence[str]) -> int:
    """Make the environments named, or all; the number of those that cannot be made is the exit status."""
    missing = 0
    for name in wanted or names():
        try:
            print(f"{name}: {environment(name, say=print)}")
        except PeerMissing as error:
            missing += 1
            print(error)
    return missing


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
