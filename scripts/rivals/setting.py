"""What the figures and the trials have in common: where things are, the rivals' packages, and what the machine was like."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RIVALS = ROOT / "scripts/rivals"
OUT = ROOT / "out/rivals"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))


def packages():
    """The Python that has the rivals' packages, made if need be; None, and why, where they cannot be had."""
    venv = OUT / "venv"
    python, wanted = venv / "bin/python", RIVALS / "requirements.txt"
    stamp = venv / "installed.txt"
    if stamp.exists() and stamp.read_text() == wanted.read_text():
        return python
    OUT.mkdir(parents=True, exist_ok=True)
    for command in (
        [sys.executable, "-m", "venv", venv],
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", wanted],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            why = (done.stderr.strip() or done.stdout.strip() or "no reason was given").splitlines()[-1]
            print(f"LangGraph and DBOS are left out: `python -m {command[2]}` failed: {why}", file=sys.stderr)
            print("With PyPI in reach this command installs what scripts/rivals/requirements.txt names.", file=sys.stderr)
            return None
    stamp.write_text(wanted.read_text())
    return python


def build(*command, cwd=ROOT):
    """Builds, or ends with what the compiler says."""
    done = subprocess.run(["cargo", "build", "--release", *command], cwd=cwd)
    if done.returncode != 0:
        sys.exit(f"`cargo build --release {' '.join(command)}` failed; its errors stand above")


def versions(python):
    """The versions of what is measured, by name."""
    found = {}
    cargo = subprocess.run(["cargo", "pkgid", "-p", "parkway"], cwd=ROOT, capture_output=True, text=True)
    found["parkway"] = cargo.stdout.strip().rpartition("#")[2] or "not told"
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    if commit.returncode == 0:
        found["parkway"] += f" ({commit.stdout.strip()})"
    if python:
        names = [line.split("==")[0] for line in (RIVALS / "requirements.txt").read_text().splitlines() if "==" in line]
        ask = "import json, sqlite3, platform, importlib.metadata as m, sys\n"
        ask += "print(json.dumps({n: m.version(n) for n in sys.argv[1:]} | "
        ask += "{'python': platform.python_version(), 'its sqlite': sqlite3.sqlite_version}))"
        found |= json.loads(subprocess.check_output([python, "-c", ask, *names]))
    return found


def load():
    return " ".join(f"{value:.2f}" for value in os.getloadavg())


def machine():
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    return f"{os.cpu_count()} cores, {names[0] if names else platform.processor() or 'of a kind that is not told'}"


def sync_cost(folder):
    """What the disk takes to keep 4 KiB at the end of a file, in ms: (median, 99 %) of 200."""
    path, times = Path(folder) / "sync.probe", []
    with open(path, "wb", buffering=0) as file:
        for _ in range(200):
            file.write(bytes(4096))
            started = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - started) * 1000)
    path.unlink()
    times.sort()
    return statistics.median(times), times[198]
