#!/usr/bin/env python3
"""Minutes of mixed decryptions at twice the rate that four nodes sustain on this machine (./dev load)."""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from committee import ROOT, committee, dealt_key, witan

LOAD = ROOT / "build/release/witan_load"
CASES = [("bool", "true", "big-compressed"), ("bool", "false", "big-expanded"), ("u8", "200", "big-compressed"),
         ("u16", "54321", "big-compressed"), ("u32", "4000000000", "big-compressed"), ("u64", "18446744073709551557", "big-compressed"),
         ("u64", "1", "big-compressed"), ("u128", "0xfedcba98765432100123456789abcdef", "big-compressed"),
         ("address", "0xd8da6bf26964af9d7eed9e03e53415d37aa96045", "big-compressed"),
         ("u256", "0x" + "9abcdef0" * 8, "big-compressed")]
SMALL = ("bool", "true", "small-expanded")
WARM_UP = 0.3         # of the time; memory is compared after it
GROWTH = 1.10         # largest of the last part against the largest of the part before it
COLLAPSE = 0.5        # answered under load, against the sustainable rate: refusing, and the client that asks again, take their part of the machine
DRAIN = 10            # seconds
RECOVERY = 3          # latency of single decryptions after the load, against before


def memory_mib(folder):
    """Of each node."""
    out = []
    for file in sorted(pathlib.Path(folder).glob("party-*/pid")):
        status = pathlib.Path(f"/proc/{file.read_text().split()[0]}/status").read_text()
        out.append(next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--params", default="test", choices=["test", "default"])
    parser.add_argument("--factor", type=float, default=2, help="of the sustainable rate")
    parser.add_argument("--at-most", type=int, default=4, help="ciphertexts in a request")
    parser.add_argument("--small", action="store_true", help="with Small formats among them")
    arguments = parser.parse_args()
    problems = []

    def check(good, text):
        print(("ok       " if good else "PROBLEM  ") + text, flush=True)
        if not good:
            problems.append(text)

    with tempfile.TemporaryDirectory(prefix="witan-load-") as temporary:
        folder = pathlib.Path(temporary)
        with committee(folder / "committee", "--test-nodes") as nodes:
            key = dealt_key(nodes, params=arguments.params)
            words = [LOAD, "--dir", nodes, "--key", key, "--at-most", arguments.at_most]
            for i, (kind, value, form) in enumerate(CASES + [SMALL] * arguments.small):
                file = folder / f"ciphertext-{i}"
                witan("encrypt", "--dir", nodes, "--key", key, "--type", kind, "--value", value, "--format", form, "--out", file)
                words += ["--case", f"{kind},{value},{form},{file}"]

            def measure(*more):
                done = subprocess.run([*map(str, [*words, *more])], stdout=subprocess.PIPE, text=True)
                if done.returncode != 0:
                    sys.exit(f"witan_load ended with {done.returncode}: {done.stdout}")
                return json.loads(done.stdout)

            alone = measure("--in-flight", 1, "--warm-up", 1, "--seconds", 5)
            sustained = measure("--in-flight", 256, "--warm-up", 3, "--seconds", 20)["per_second"]
            rate = arguments.factor * sustained
            print(f"alone: p50 {alone['p50_ms']:.1f} ms; sustained: {sustained:.0f} requests of 1 to {arguments.at_most} ciphertexts per "
                  f"second; now {rate:.0f} per second for {arguments.minutes:g} minutes", flush=True)
            samples, over = [], threading.Event()

            def sample():
                while not over.wait(5):
                    samples.append((time.monotonic(), memory_mib(nodes)))

            sampler = threading.Thread(target=sample, daemon=True)
            sampler.start()
            begun = time.monotonic()
            # The load comes from elsewhere: this client does not wait for a processor behind the nodes.
            first = ["nice", "-n", "-10"] if os.geteuid() == 0 else []
            load = subprocess.Popen([*map(str, [*first, *words, "--rate", f"{rate:.1f}", "--seconds", 60 * arguments.minutes,
                                                "--report", 10])], stdout=subprocess.PIPE, text=True)
            print(f"{'s':>6} {'begun/s':>8} {'answered/s':>10} {'refused/s':>9} {'p50 ms':>8} {'p99 ms':>8} {'again/s':>8} {'failed':>7} {'MiB per node':>30}",
                  flush=True)
            rows, before = [], 0.0
            for line in load.stdout:
                row = json.loads(line)
                span = max(row["at"] - before, 0.001)
                before = row["at"]
                rows.append(row)
                memory = " ".join(f"{mib:.0f}" for mib in samples[-1][1]) if samples else ""
                print(f"{row['at']:>6.0f} {row['begun'] / span:>8.0f} {row['per_second']:>10.0f} {row['refused'] / span:>9.0f} "
                      f"{row['p50_ms']:>8.0f} {row['p99_ms']:>8.0f} {row['asked_again'] / span:>8.0f} {row['failed']:>7} {memory:>30}", flush=True)
            ended = load.wait()
            after = measure("--in-flight", 1, "--warm-up", 0, "--seconds", 2)
            over.set()
            sampler.join()

            total = {name: sum(row[name] for row in rows) for name in ("begun", "count", "refused", "asked_again", "failed", "wrong", "not_begun")}
            print(f"in all: {total}", flush=True)
            check(ended == 0 and total["wrong"] == 0, "no wrong answer")
            check(total["failed"] == 0, f"{total['failed']} failed otherwise than by RESOURCE_EXHAUSTED")
            check(total["refused"] + total["asked_again"] > 0, f"{total['refused']} refused with RESOURCE_EXHAUSTED by all nodes, "
                  f"{total['asked_again']} times by some, who were asked again; {total['not_begun']} not begun with 4000 under way at the client")
            check(total["begun"] == total["count"] + total["refused"] + total["failed"], "every request has ended")
            answered = statistics.median(row["per_second"] for row in rows[1:-1] or rows)
            drain = rows[-1]["at"] - 60 * arguments.minutes
            check(drain <= DRAIN, f"all that was under way when the load ended had its answer {drain:.1f} s later")
            check(answered >= COLLAPSE * sustained, f"answered {answered:.0f} per second, sustained were {sustained:.0f}")
            check(after["p50_ms"] <= RECOVERY * alone["p50_ms"] and after["failed"] + after["refused"] == 0,
                  f"single decryptions right after the load: p50 {after['p50_ms']:.1f} ms, before it {alone['p50_ms']:.1f} ms")
            third = (1 - WARM_UP) * 60 * arguments.minutes / 2
            for party in range(len(samples[0][1])):
                middle, late = ([mib[party] for at, mib in samples if low <= at - begun - WARM_UP * 60 * arguments.minutes < low + third]
                                for low in (0, third))
                if not middle or not late:
                    check(False, "no samples of memory: take more minutes")
                    break
                check(max(late) <= GROWTH * max(middle), f"party {party + 1}: at most {max(middle):.0f} MiB, then {max(late):.0f} MiB")
    print("load: failed" if problems else "load: ok")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
