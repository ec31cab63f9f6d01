"""Whole operations of ours and of tfhe-rs, in turn, in one run: pbs128, pbs64, keyset, expand (./dev bench NAME).

Both sides read the same key set and the same client lists, work with one thread and on one core. AVX2: the same program of ours
with its vector instructions cut to those.
"""
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
OURS = ROOT / "build/release/witan_evaluate"
CRATE = ROOT / "bench/tfhe_rs"
TARGET = ROOT / "build/baseline"
BASELINE = TARGET / "release/witan-baseline"
FORCED = "AVX2"
GIB = 1 << 30

# Names of the variants of one figure. The order is that of a repetition.
VARIANTS = ("ours", "baseline", FORCED)


def version_of(command, pattern=r"\d+\.\d+\.\d+"):
    try:
        text = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return ""
    found = re.search(pattern, text)
    return found[0] if found else ""


def build_baseline():
    """Empty if the program is there, else why it is not."""
    needed = re.search(r'rust-version = "(.*)"', (CRATE / "Cargo.toml").read_text())[1]
    found = version_of(["cargo", "--version"])
    as_numbers = lambda text: tuple(map(int, text.split(".")))
    if not found or as_numbers(found) < as_numbers(needed):
        return f"cargo {needed} or newer is needed, found {found or 'none'}"
    print("building tfhe-rs (from nothing: about ten minutes of processor time)" if not BASELINE.exists() else
          "tfhe-rs is built", file=sys.stderr, flush=True)
    command = ["cargo", "build", "--release", "--locked", "--quiet", "--manifest-path", str(CRATE / "Cargo.toml")]
    done = subprocess.run(command, env=dict(os.environ, CARGO_TARGET_DIR=str(TARGET)), stderr=subprocess.PIPE, text=True)
    return "" if done.returncode == 0 else f"cargo build failed: {done.stderr.strip().splitlines()[-1:]}"


def one_core():
    """In a child: one thread, one core, always the same one."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def environment():
    return dict(os.environ, RAYON_NUM_THREADS="1")


def command_of(variant):
    return {"ours": [OURS], "baseline": [BASELINE], FORCED: [OURS, "--target", FORCED]}[variant]


def once(variant, *words):
    """The answer of a process of its own."""
    command = [str(word) for word in (*command_of(variant), *words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
                          preexec_fn=one_core, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


class Server:
    """A process that holds the keys and does one repetition per line."""

    def __init__(self, variant, inputs):
        command = [*command_of(variant), "serve", *(inputs / name for name in ("key_set", "pair", "value"))]
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env=environment(), preexec_fn=one_core)
        self.loaded = self._answer()

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.process.args[0]} ended with {self.process.wait()}")
        return json.loads(line)

    def ask(self, name):
        print(name, file=self.process.stdin, flush=True)
        return self._answer()

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


class World:
    """Programs, keys and inputs, made when they are first needed."""

    def __init__(self):
        self.missing = build_baseline()
        self.stack = contextlib.ExitStack()
        self.folder = pathlib.Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="witan-bench-", dir=ROOT / "build")))
        self.variants = [name for name in VARIANTS if not (name == "baseline" and self.missing)]
        self.loaded = {}
        self._servers = {}

    def servers(self):
        if not self._servers:
            inputs = self.folder / "inputs"
            if not inputs.exists():
                once("ours", "inputs", inputs)
            for variant in self.variants:
                self._servers[variant] = server = Server(variant, inputs)
                self.loaded[variant] = server.loaded
        return self._servers

    def stop_servers(self):
        for server in self._servers.values():
            server.stop()
        self._servers = {}

    def close(self):
        self.stop_servers()
        self.stack.close()


def figure(name, unit, answers, key="seconds", scale=1.0, **rest):
    """One row of the table. `answers`: by variant, one answer per repetition."""
    values = {variant: [answer[key] * scale for answer in given if key in answer] for variant, given in answers.items()}
    return {"name": name, "unit": unit, "values": values, **rest}


def alternate(world, name, repetitions, warm_up=1):
    """Answers by variant, one repetition of each in turn."""
    servers = world.servers()
    out = {variant: [] for variant in servers}
    for number in range(-warm_up, repetitions):
        for variant, server in servers.items():
            answer = server.ask(name)
            if number >= 0:
                out[variant].append(answer)
    return out


def pbs128(world):
    return [figure("pbs128", "ms", alternate(world, "pbs128", 7), scale=1000, target_ratio=0.75, aim_ratio=0.5,
                   what="Switch-and-Squash of one packed block")]


def pbs64(world):
    return [figure("pbs64", "ms", alternate(world, "pbs64", 51), scale=1000, target_ratio=6,
                   what="key switch and bootstrap of one block, 64 bits")]


def expand(world):
    answers = alternate(world, "expand", 5, warm_up=0)
    rows = [figure("expand", "s", answers, what="client's list of one u64 to BigCompressed, one core")]
    for stage in ("expansion", "squashing", "compression"):
        rows.append(figure(f"expand: {stage}", "s", answers, key=stage, what=""))
    return rows


KEYSET_REPETITIONS = {"ours": 5, "baseline": 2, FORCED: 3}  # tfhe-rs takes a minute


def keyset(world):
    world.stop_servers()
    answers = {variant: [] for variant in world.variants}
    for number in range(max(KEYSET_REPETITIONS.values())):
        for variant in world.variants:
            if number >= KEYSET_REPETITIONS[variant]:
                continue
            place = world.folder / f"keyset-{variant}"
            answers[variant].append(once(variant, "keyset", place))
            if place.is_dir():
                shutil.rmtree(place)
            else:
                place.unlink()
    return [figure("keyset", "s", answers, target=12, what="default key set: made, hashed, stored (baseline: made)"),
            figure("keyset: peak resident", "MiB", answers, key="peak_bytes", scale=1 / (1 << 20), target=GIB / (1 << 20),
                   what="of the process, VmHWM")]


FIGURES = {"pbs128": pbs128, "pbs64": pbs64, "expand": expand, "keyset": keyset}


def versions():
    lock = (CRATE / "Cargo.lock").read_text() if (CRATE / "Cargo.lock").exists() else ""
    found = re.search(r'name = "tfhe"\nversion = "(.*)"', lock)
    return {"tfhe-rs": found[1] if found else "", "rustc": version_of(["rustc", "--version"]),
            "tfhe-rs features": "default (avx512 among them), release"}
