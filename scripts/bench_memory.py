#!/usr/bin/env python3
"""Peak memory of nodes with the production parameters: through a dealing, and through the first decryption of a Small ciphertext,
which expands the key set (./dev bench memory)."""
import argparse
import json
import pathlib
import re
import sys
import tempfile

from committee import committee, dealt_key, witan


def memory_mib(nodes, name):
    """Of every node, by role: a line of its /proc status."""
    out = []
    for role in range(1, 1 + len(list(pathlib.Path(nodes).glob("party-*")))):
        pid = (pathlib.Path(nodes) / f"party-{role}/pid").read_text().split()[0]
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        out.append(int(re.search(rf"{name}:\s+(\d+) kB", status)[1]) // 1024)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", default="default", choices=["test", "default"])
    parser.add_argument("--json", metavar="FILE", type=pathlib.Path)
    arguments = parser.parse_args()
    rows = []

    def note(what, nodes):
        peak, resident = memory_mib(nodes, "VmHWM"), memory_mib(nodes, "VmRSS")
        rows.append({"what": what, "dealer_peak_mib": peak[0], "others_peak_mib": max(peak[1:]), "resident_mib": max(resident)})
        print(f"{what:45} peak of the dealer {peak[0]:5} MiB, of the others {max(peak[1:]):5}, resident now {max(resident):5}",
              flush=True)

    with tempfile.TemporaryDirectory(prefix="witan-bench-") as temporary:
        folder = pathlib.Path(temporary)
        with committee(folder / "committee", "--test-nodes") as nodes:
            note("started", nodes)
            key = dealt_key(nodes, params=arguments.params)
            note("key dealt", nodes)
            file = folder / "ciphertext"
            kind = ("--dir", nodes, "--key", key, "--type", "u8", "--format", "small-expanded")
            witan("encrypt", *kind, "--value", "77", "--out", file)
            answer = witan("decrypt", *kind, "--timeout", "600", "--json", file)
            if int(json.loads(answer)["results"][0]["value"]) != 77:
                sys.exit(f"decrypted to something else: {answer}")
            note("first Small ciphertext decrypted", nodes)
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
