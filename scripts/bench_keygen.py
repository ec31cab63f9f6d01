#!/usr/bin/env python3
"""Key generation in real processes on this machine (./dev bench bits, keygen, keygen-latency).

  bits             random bits of a committee of processes over gRPC and mTLS: witan_preprocessing_committee
  keygen           a whole key generation, from the request to the published key: wall-clock time, processor time of a node, bytes that it
                   sent its peers (TCP payload, TLS included), its peak memory
  keygen-latency   decryptions with a `test` key while nothing else happens, and while a `default` preprocessing runs on the same processors
"""
import argparse
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

from bench import machine, median, spread
from committee import ROOT, WITAN, committee, witan

TREE = ROOT / "build/release"
LOAD, COMMITTEE_BITS = TREE / "witan_load", TREE / "witan_preprocessing_committee"
TICKS = os.sysconf("SC_CLK_TCK")

# The incumbent, n = 4, on a machine of two cores: measured with `test`; `default` is extrapolated from that by the number of random bits.
INCUMBENT = {("test", 4): {"wall_s": 435, "cpu_s": 103, "sent_mb": 1300},
             ("default", 4): {"wall_s": 62 * 3600, "sent_mb": 1.4e6}}
TARGETS = {("test", 4): {"wall_s": 3, "sent_mb": 40}, ("test", 13): {"wall_s": 45},
           ("default", 4): {"wall_s": 600, "peak_mib": 2048}}
BITS_TARGETS = {(128, 4): {"cpu_us": 0.30, "wall_us": 0.5, "bytes": 49}, (128, 13): {"bytes": 45}}
LATENCY_TARGET_MS = 50


# ---- what a node has used

def pids(nodes):
    return {int(file.parent.name.removeprefix("party-")): int(file.read_text().split()[0])
            for file in pathlib.Path(nodes).glob("party-*/pid")}


def cpu_seconds(pid):
    """All threads of the process, those that have ended included."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_mib(pid):
    return int(re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())[1]) / 1024


def sent_bytes(nodes, processes):
    """Bytes that each process has handed to TCP in connections that are open, to and from the ports where nodes meet."""
    ports = {str(party["mpc_port"]) for party in json.loads((pathlib.Path(nodes) / "committee.json").read_text())["parties"]}
    text = subprocess.run(["ss", "--tcp", "--info", "--processes", "--numeric", "--no-header", "--oneline", "state", "established"],
                          stdout=subprocess.PIPE, text=True, check=True).stdout
    out = {party: 0 for party in processes}
    for line in text.splitlines():
        owner, sent = re.search(r"pid=(\d+)", line), re.search(r"bytes_acked:(\d+)", line)
        addresses = re.findall(r"(?:127\.0\.0\.1|\[::1\]|\[::ffff:127\.0\.0\.1\]):(\d+)", line)
        if not owner or not sent or not ports & set(addresses):
            continue
        for party, pid in processes.items():
            if pid == int(owner[1]):
                out[party] += int(sent[1])
    return out


# ---- bits

def bits(arguments):
    rows = []
    print(f"{'':34} {'CPU us per party and bit':>24} {'wall us per bit':>16} {'bytes per party and bit':>24}")
    for parties, word_bits, kind, millions in ((4, 128, "noises", 8), (4, 64, "noises", 8), (4, 128, "bits", 8), (13, 128, "noises", 2)):
        for forced in (False, True):
            command = [COMMITTEE_BITS, "--parties", str(parties), "--word-bits", str(word_bits), "--kind", kind, "--bits",
                       str(millions << 20), *(["--avx2"] if forced else [])]
            runs = []
            for _ in range(arguments.repetitions):
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
                if done.returncode != 0:
                    sys.exit(f"{COMMITTEE_BITS.name} ended with {done.returncode}")
                runs.append(json.loads(done.stdout))
            row = {"parties": parties, "word_bits": word_bits, "kind": kind, "avx2_forced": forced}
            for figure in ("cpu_us", "wall_us", "bytes"):
                row[figure] = median([run[figure] for run in runs])
                row[figure + "_spread"] = spread([run[figure] for run in runs])
            row["targets"] = {} if kind == "bits" else BITS_TARGETS.get((word_bits, parties), {})
            rows.append(row)
            name = f"n={parties}, k={word_bits}, {kind}{', AVX2 forced' if forced else ''}"
            cell = lambda figure: f"{row[figure]:.3f} ({100 * row[figure + '_spread']:.0f} %){verdict(row, figure)}"
            print(f"{name:34} {cell('cpu_us'):>24} {cell('wall_us'):>16} {cell('bytes'):>24}", flush=True)
    return {"rows": rows}


def verdict(row, figure):
    target = row["targets"].get(figure)
    return "" if target is None else " ok" if row[figure] <= target else f" over {target:g}"


# ---- a whole key generation

def one_generation(params, parties, timeout):
    with tempfile.TemporaryDirectory(prefix="witan-bench-") as temporary:
        with committee(pathlib.Path(temporary) / "committee", "--parties", parties) as nodes:
            processes = pids(nodes)
            cpu = {party: cpu_seconds(pid) for party, pid in processes.items()}
            sent = sent_bytes(nodes, processes)
            begun = time.monotonic()
            key = json.loads(witan("keygen", "--dir", nodes, "--params", params, "--timeout", timeout, "--json"))
            row = {"wall_s": time.monotonic() - begun}
            if len(key["failed"]) > 0:
                sys.exit(f"parties without a key: {key['failed']}")
            after = sent_bytes(nodes, processes)
            row["cpu_s"] = sum(cpu_seconds(pid) - cpu[party] for party, pid in processes.items()) / parties
            row["sent_mb"] = sum(after[party] - sent[party] for party in processes) / parties / 1e6
            row["peak_mib"] = max(peak_mib(pid) for pid in processes.values())
            return row


def keygen(arguments):
    rows = []
    print(f"{'':20} {'wall s':>18} {'CPU s per node':>18} {'MB sent per node':>18} {'peak MiB':>18}")
    cases = [("test", 4, arguments.repetitions), ("test", 13, 1)] + ([("default", 4, 1)] if arguments.default else [])
    for params, parties, repetitions in cases:
        runs = [one_generation(params, parties, 3600) for _ in range(repetitions)]
        row = {"params": params, "parties": parties, "repetitions": repetitions, "targets": TARGETS.get((params, parties), {}),
               "incumbent": INCUMBENT.get((params, parties), {})}
        for figure in ("wall_s", "cpu_s", "sent_mb", "peak_mib"):
            row[figure] = median([run[figure] for run in runs])
            row[figure + "_spread"] = spread([run[figure] for run in runs])
        rows.append(row)
        cell = lambda figure: f"{row[figure]:.4g}{verdict(row, figure)}"
        print(f"{params + ', n=' + str(parties):20} {cell('wall_s'):>18} {cell('cpu_s'):>18} {cell('sent_mb'):>18} {cell('peak_mib'):>18}",
              flush=True)
        if row["incumbent"]:
            cell = lambda figure: f"{row['incumbent'][figure]:g}" if figure in row["incumbent"] else "-"
            print(f"{'  incumbent':20} {cell('wall_s'):>18} {cell('cpu_s'):>18} {cell('sent_mb'):>18} {'-':>18}", flush=True)
    return {"rows": rows}


# ---- decryptions beside a preprocessing

def load(nodes, key, file, seconds, warm_up):
    done = subprocess.run([LOAD, "--dir", nodes, "--key", key, "--case", f"u64,1,big-compressed,{file}", "--in-flight", "1", "--warm-up",
                           str(warm_up), "--seconds", str(seconds)], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"witan_load ended with {done.returncode}: {done.stdout}")
    return json.loads(done.stdout)




def keygen_latency(arguments):
    with tempfile.TemporaryDirectory(prefix="witan-bench-") as temporary:
        folder = pathlib.Path(temporary)
        with committee(folder / "committee", "--parties", 4) as nodes:
            key = json.loads(witan("keygen", "--dir", nodes, "--params", "test", "--json"))["key_id"]
            file = folder / "ciphertext"
            witan("encrypt", "--dir", nodes, "--key", key, "--type", "u64", "--value", "1", "--format", "big-compressed", "--out", file)
            idle = load(nodes, key, file, arguments.latency_seconds / 3, 2)
            processes = pids(nodes)
            before = sent_bytes(nodes, processes)
            making = subprocess.Popen([WITAN, "keygen", "--dir", nodes, "--params", "default", "--timeout", "3600"],
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                begun = time.monotonic()
                busy = load(nodes, key, file, arguments.latency_seconds, 5)
                seconds = time.monotonic() - begun
                if making.poll() is not None:
                    sys.exit(f"the key generation ended early, with {making.returncode}")
            finally:
                making.send_signal(signal.SIGKILL)
                making.wait()
            after = sent_bytes(nodes, processes)
            # 24 bytes for a bit in GR(2^64,4) at n = 4, 48 in GR(2^128,4): some 34 on average.
            rate = sum(after.values()) - sum(before.values())
    row = {"idle": idle, "busy": busy, "ratio_p50": busy["p50_ms"] / idle["p50_ms"], "ratio_p99": busy["p99_ms"] / idle["p99_ms"],
           "sent_mb_per_s": rate / 4 / seconds / 1e6, "target_p99_ms": LATENCY_TARGET_MS}
    for name in ("idle", "busy"):
        print(f"{name:6} p50 {row[name]['p50_ms']:7.2f} ms, p99 {row[name]['p99_ms']:7.2f} ms, {row[name]['count']} decryptions, "
              f"{row[name]['failed']} failed")
    print(f"ratio  p50 {row['ratio_p50']:.2f}, p99 {row['ratio_p99']:.2f}; p99 while a key is made: "
          f"{'ok' if busy['p99_ms'] <= LATENCY_TARGET_MS else f'over {LATENCY_TARGET_MS} ms'}; each node sent "
          f"{row['sent_mb_per_s']:.1f} MB/s meanwhile", flush=True)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["bits", "keygen", "keygen-latency"])
    parser.add_argument("--default", action="store_true", help="keygen: with the production parameters too (10 minutes)")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--latency-seconds", type=float, default=60)
    parser.add_argument("--json", metavar="FILE", type=pathlib.Path)
    arguments = parser.parse_args()
    subprocess.run(["ninja", "-C", str(TREE), "--quiet", "programs", "witan_load", "witan_preprocessing_committee"], cwd=ROOT, check=True)
    host = machine()
    print(f"{host['cpu']}, {host['cores']} cores, {' '.join(host['flags'])}; all nodes on it", flush=True)
    measured = {"bits": bits, "keygen": keygen, "keygen-latency": keygen_latency}[arguments.what](arguments)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": host, **measured}, indent=1) + "\n")


if __name__ == "__main__":
    main()
