#!/usr/bin/env python3
"""Builds and runs the benchmarks of the layers; prints medians over several repetitions, the spread and the machine."""
import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
TREE = ROOT / "build/release"


def machine():
    info = {"cores": os.cpu_count(), "kernel": platform.release(), "cpu": "", "flags": []}
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "model name":
            info["cpu"] = value
        elif key == "flags":
            wanted = ("avx2", "fma", "aes", "vaes", "avx512f", "avx512ifma", "sha_ni")
            info["flags"] = [flag for flag in wanted if flag in value.split()]
    return info


def run(program, arguments):
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        command = [str(program), f"--benchmark_out={report.name}", "--benchmark_out_format=json",
                   f"--benchmark_repetitions={arguments.repetitions}"]
        if arguments.filter:
            command.append(f"--benchmark_filter={arguments.filter}")
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"{program.name} ended with {done.returncode}: {done.stderr[-2000:]}")
        text = pathlib.Path(report.name).read_text()
    return json.loads(text)["benchmarks"] if text.strip() else []


def rows(benchmarks):
    by_name = {}
    for entry in benchmarks:
        if entry.get("run_type") == "aggregate":
            by_name.setdefault(entry["run_name"], {})[entry["aggregate_name"]] = entry
        else:
            by_name.setdefault(entry["run_name"], {}).setdefault("runs", []).append(entry)
    for name, group in by_name.items():
        runs = group["runs"]
        if any(entry.get("error_occurred") for entry in runs):
            yield name, None, None, None, {"error": runs[0].get("error_message", "")}
            continue
        times = sorted(entry["real_time"] for entry in runs)
        median = times[len(times) // 2] if len(times) % 2 else (times[len(times) // 2 - 1] + times[len(times) // 2]) / 2
        known = {"real_time", "cpu_time", "iterations", "threads", "repetitions", "repetition_index",
                 "family_index", "per_family_instance_index"}
        source = group.get("median", runs[0])
        counters = {k: v for k, v in source.items() if isinstance(v, (int, float)) and k not in known}
        yield name, median, (times[-1] - times[0]) / median if median else 0.0, runs[0]["time_unit"], counters


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="?", default="all", help="a layer (algebra, mpc, tfhe, ...) or all")
    parser.add_argument("--filter", help="regular expression over the names of benchmarks")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--json", metavar="FILE", help="writes everything to this file")
    arguments = parser.parse_args()
    if not (TREE / "build.ninja").exists():
        subprocess.run(["cmake", "--preset", "release"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", str(TREE), "--quiet", "benchmarks"], cwd=ROOT, check=True)
    programs = {p.name.removeprefix("witan_").removesuffix("_bench"): p for p in sorted(TREE.glob("witan_*_bench"))}
    if arguments.name != "all" and arguments.name not in programs:
        sys.exit(f"no benchmark '{arguments.name}'; there are {', '.join(programs)}, all")
    host = machine()
    print(f"{host['cpu']}, {host['cores']} cores, {' '.join(host['flags'])}; "
          f"medians of {arguments.repetitions}, spread = (max - min) / median")
    out = {"machine": host, "benchmarks": {}}
    for name, program in programs.items():
        if arguments.name not in ("all", name):
            continue
        benchmarks = run(program, arguments)
        out["benchmarks"][name] = benchmarks
        for title, median, spread, unit, counters in rows(benchmarks):
            extra = "  ".join(f"{k}={v:.4g}" if isinstance(v, (int, float)) else f"{k}: {v}" for k, v in counters.items())
            if median is None:
                print(f"{name:14} {title:60} {extra}")
            else:
                print(f"{name:14} {title:60} {median:12.3f} {unit}  {100 * spread:5.1f} %  {extra}", flush=True)
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
