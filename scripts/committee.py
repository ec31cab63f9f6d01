"""A committee of local nodes for scripts: what `witan committee`, `witan keygen` and so on do, stopped at the end."""
import contextlib
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
WITAN = ROOT / "build/release/bin/witan"


def witan(*words, program=WITAN):
    """Output of the command; an error of it ends the script."""
    done = subprocess.run([str(program), *map(str, words)], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        sys.exit(f"witan {' '.join(map(str, words))} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


@contextlib.contextmanager
def committee(folder, *words, program=WITAN):
    """Nodes that run while the context lasts. `words`: further options of `committee up`."""
    try:
        witan("committee", "up", "--dir", folder, *words, program=program)
        yield str(folder)
    finally:
        subprocess.run([str(program), "committee", "down", "--dir", str(folder)], capture_output=True)


def dealt_key(folder, program=WITAN, params="test"):
    return re.search(r"[0-9a-f]{64}", witan("keygen", "--dir", folder, "--dealt", "--params", params, program=program))[0]
