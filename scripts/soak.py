#!/usr/bin/env python3
"""Hours of mixed traffic against four nodes that are killed, stopped, frozen and lie in turn (tests/grpc/soak.mjs)."""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = ROOT / "build/release/bin"
CACHE = "dec_capacity = 2000\nmin_dec_cache = 1000\n"  # small, so that results are evicted from the first minutes on


def run(program, *arguments):
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"witan {' '.join(arguments)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=20, help="requests per second, each to all four parties")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", help="keep the committee in this folder")
    parser.add_argument("--bin", default=str(BIN), help="folder of the programs, copied first: builds may go on meanwhile")
    arguments = parser.parse_args()
    folder = pathlib.Path(arguments.keep) if arguments.keep else pathlib.Path(tempfile.mkdtemp(prefix="witan-soak-"))
    committee = str(folder / "committee")
    program = str(folder / "bin/witan")
    witan = lambda *words: run(program, *words)
    shutil.copytree(arguments.bin, folder / "bin")
    try:
        # Ports apart from those that other committees take first: here nodes are down at times, and their ports look free.
        witan("committee", "up", "--dir", committee, "--test-nodes", "--base-port", "26000")
        witan("committee", "down", "--dir", committee)
        for config in pathlib.Path(committee).glob("party-*/node.toml"):
            config.write_text(config.read_text().replace("[threshold]\n", "[threshold]\n" + CACHE))
        witan("committee", "up", "--dir", committee)
        key = re.search(r"[0-9a-f]{64}", witan("keygen", "--dir", committee, "--dealt"))[0]
        soak = ["node", str(ROOT / "tests/grpc/soak.mjs"), committee, key, program, str(arguments.minutes), str(arguments.rate),
                str(arguments.seed)]
        sys.exit(subprocess.run(soak).returncode)
    finally:
        subprocess.run([program, "committee", "down", "--dir", committee], capture_output=True)
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
