#!/usr/bin/env python3
"""A stock gRPC client made from the public .proto files drives two committees (tests/grpc)."""
import subprocess
import sys
import tempfile

from committee import ROOT, WITAN, committee


def main():
    with tempfile.TemporaryDirectory(prefix="witan-grpc-") as folder:
        with committee(f"{folder}/dealing", "--test-nodes") as dealing, committee(f"{folder}/production") as production:
            drive = ROOT / "tests/grpc/drive.mjs"
            sys.exit(subprocess.run(["node", drive, dealing, production, WITAN]).returncode)


if __name__ == "__main__":
    main()
