#!/usr/bin/env python3
"""Hours of mixed traffic against four nodes that are killed, stopped, frozen and lie in turn (tests/grpc/soak.mjs)."""
import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile

from committee import ROOT, committee, dealt_key, witan

BIN = ROOT / "build/release/bin"
CACHE = "dec_capacity = 2000\nmin_dec_cache = 1000\n"  # small, so that results are evicted from the first minutes on


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=20, help="requests per second, each to all four parties")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", help="keep the committee in this folder")
    parser.add_argument("--bin", default=str(BIN), help="folder of the programs, copied first: builds may go on meanwhile")
    arguments = parser.parse_args()
    folder = pathlib.Path(arguments.keep) if arguments.keep else pathlib.Path(tempfile.mkdtemp(prefix="witan-soak-"))
    program = folder / "bin/witan"
    shutil.copytree(arguments.bin, folder / "bin")
    try:
        # Ports apart from those that other committees take first: here nodes are down at times, and their ports look free.
        with committee(folder / "committee", "--test-nodes", "--base-port", 26000, program=program) as nodes:
            witan("committee", "down", "--dir", nodes, program=program)
            for config in pathlib.Path(nodes).glob("party-*/node.toml"):
                config.write_text(config.read_text().replace("[threshold]\n", "[threshold]\n" + CACHE))
            witan("committee", "up", "--dir", nodes, program=program)
            soak = ["node", ROOT / "tests/grpc/soak.mjs", nodes, dealt_key(nodes, program), program, str(arguments.minutes),
                    str(arguments.rate), str(arguments.seed)]
            sys.exit(subprocess.run(soak).returncode)
    finally:
        if not arguments.keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
