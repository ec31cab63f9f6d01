#!/usr/bin/env python3
"""A stock gRPC client made from the public .proto files drives two committees (tests/grpc)."""
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
WITAN = str(ROOT / "build/release/bin/witan")


def main():
    with tempfile.TemporaryDirectory(prefix="witan-grpc-") as temporary:
        dealing, production = f"{temporary}/dealing", f"{temporary}/production"
        try:
            for folder, more in ((dealing, ["--test-nodes"]), (production, [])):
                up = subprocess.run([WITAN, "committee", "up", "--dir", folder, *more], capture_output=True, text=True)
                if up.returncode != 0:
                    sys.exit(f"witan committee up ended with {up.returncode}: {up.stdout}{up.stderr}")
            drive = str(ROOT / "tests/grpc/drive.mjs")
            sys.exit(subprocess.run(["node", drive, dealing, production, WITAN]).returncode)
        finally:
            for folder in (dealing, production):
                subprocess.run([WITAN, "committee", "down", "--dir", folder], capture_output=True)


if __name__ == "__main__":
    main()
