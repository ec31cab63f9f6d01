#!/usr/bin/env python3
"""Decryptions per second and latency of a whole committee with its client on this machine (./dev bench service)."""
import argparse
import collections
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

from bench import machine
from committee import ROOT, committee, dealt_key, witan

LOAD = ROOT / "build/release/witan_load"


STAGES = {"urgent work": "kernels: parse, mask, sign", "journal": "journal", "to": "peers", "from": "peers", "peer": "peers",
          "grpcpp_sync_ser": "peers", "nexting_thread": "service (gRPC)", "default-executo": "service (gRPC)",
          "grpc_global_tim": "service (gRPC)"}


def cpu_seconds(folder):
    """Of all nodes of the committee so far, by what their threads do."""
    total = collections.Counter()
    for file in pathlib.Path(folder).glob("party-*/pid"):
        process = file.read_text().split()[0]
        for task in pathlib.Path(f"/proc/{process}/task").iterdir():
            try:
                name, used = (task / "comm").read_text().strip(), int((task / "schedstat").read_text().split()[0])
            except (FileNotFoundError, ProcessLookupError):  # it has just ended
                continue
            stage = "loop: requests, protocol" if task.name == process else \
                STAGES.get(name) or STAGES.get(name.split()[0], "other")
            total[stage] += used / 1e9
    return total


def client_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", default="test", choices=["test", "default"])
    parser.add_argument("--parties", type=int, default=4)
    parser.add_argument("--type", default="u64")
    parser.add_argument("--format", default="big-compressed")
    parser.add_argument("--in-flight", default="1,16,64,256")
    parser.add_argument("--seconds", type=float, default=10, help="for each number in flight")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    subprocess.run(["ninja", "-C", str(ROOT / "build/release"), "--quiet", "programs", "witan_load"], cwd=ROOT, check=True)
    host = machine()
    print(f"{host['cpu']}, {host['cores']} cores, {' '.join(host['flags'])}; {arguments.parties} nodes and the client on it; "
          f"{arguments.params} parameters, {arguments.type}, {arguments.format}", flush=True)
    rows = []
    with tempfile.TemporaryDirectory(prefix="witan-bench-") as temporary:
        folder = pathlib.Path(temporary)
        with committee(folder / "committee", "--test-nodes", "--parties", arguments.parties) as nodes:
            begun = time.monotonic()
            key = dealt_key(nodes, params=arguments.params)
            print(f"key dealt in {time.monotonic() - begun:.1f} s", flush=True)
            file = folder / "ciphertext"
            witan("encrypt", "--dir", nodes, "--key", key, "--type", arguments.type, "--value", "1", "--format",
                  arguments.format, "--out", file)
            print(f"{'in flight':>10} {'per second':>11} {'p50 ms':>8} {'p99 ms':>8} {'CPU ms per node':>16} {'refused':>8} {'failed':>7}")
            for in_flight in arguments.in_flight.split(","):
                before, client = cpu_seconds(nodes), client_seconds()
                done = subprocess.run([LOAD, "--dir", nodes, "--key", key, "--case", f"{arguments.type},1,{arguments.format},{file}",
                                       "--in-flight", in_flight, "--warm-up", "0", "--seconds", str(arguments.seconds)],
                                      stdout=subprocess.PIPE, text=True)
                if done.returncode != 0:
                    sys.exit(f"witan_load ended with {done.returncode}: {done.stdout}")
                row = json.loads(done.stdout)
                count = max(1, row["count"])
                row["stages_us"] = {stage: 1e6 * (seconds - before[stage]) / arguments.parties / count
                                    for stage, seconds in cpu_seconds(nodes).items()}
                row["client_us"] = 1e6 * (client_seconds() - client) / count
                row["cpu_ms_per_node"] = sum(row["stages_us"].values()) / 1000
                rows.append(row)
                stages = ", ".join(f"{stage} {used:.0f}" for stage, used in row["stages_us"].items() if used >= 0.5)
                print(f"{row['in_flight']:>10} {row['per_second']:>11.1f} {row['p50_ms']:>8.2f} {row['p99_ms']:>8.2f} "
                      f"{row['cpu_ms_per_node']:>16.2f} {row['refused']:>8} {row['failed']:>7}", flush=True)
            print(f"us per node and request at {row['in_flight']} in flight: {stages}; client, per request: {row['client_us']:.0f}")
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps({"machine": host, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
