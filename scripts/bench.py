#!/usr/bin/env python3
"""Benchmarks: medians over several repetitions, their spread, the machine, and the baseline of the same run.

  NAME   pbs128, pbs64, keyset, expand: whole operations against tfhe-rs (scripts/bench_tfhe.py)
         decrypt, bits, service, service-default, service13, service13-default, memory: partial decryptions; random bits, their local
         part and all of them in committees of processes; committees of 4 and of 13 nodes under load, with the parameters test and
         default; peak memory of nodes with the parameters default
         keygen, keygen-latency: key generations of real nodes, with --default with production parameters too (10 minutes);
         decryptions while one with production parameters runs
         a layer (algebra, mpc, tfhe, ...): its kernels; layers: those of all
         all: every name but those of layers
"""
import argparse
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile
import time

import bench_tfhe

ROOT = pathlib.Path(__file__).resolve().parent.parent
TREE = ROOT / "build/release"
DEFAULT = ["--params", "default"]
THIRTEEN = ["--parties", "13", "--in-flight", "1,16,64"]
SERVICES = {"service": [], "service-default": DEFAULT, "service13": THIRTEEN, "service13-default": [*THIRTEEN, *DEFAULT]}
PER_SECOND_AT_LEAST = {"service": 1750, "service-default": 900}  # with the most in flight
ALONE_MS_AT_MOST = 5  # p50 of four nodes, one decryption after the other
KEYGEN = ("keygen", "keygen-latency")
NAMES = (*bench_tfhe.FIGURES, "decrypt", "bits", *SERVICES, "memory", *KEYGEN)


def machine():
    info = {"cores": os.cpu_count(), "kernel": platform.release(), "cpu": "", "flags": []}
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "model name":
            info["cpu"] = value
        elif key in ("cpu family", "model", "cache size"):
            info[key] = value
        elif key == "flags":
            wanted = ("avx2", "fma", "aes", "vaes", "avx512f", "avx512ifma", "sha_ni")
            info["flags"] = [flag for flag in wanted if flag in value.split()]
    return info


def machine_line(host):
    return f"{host['cpu']} (family {host.get('cpu family')}, model {host.get('model')}), {host['cores']} cores, " \
           f"{' '.join(host['flags'])}"


def cpu_times():
    """(busy, all) seconds of all cores since the start of the machine."""
    fields = [int(word) for word in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / 100, sum(fields) / 100


def busy_now(seconds=2.0):
    """Cores that others keep busy."""
    before = cpu_times()
    time.sleep(seconds)
    after = cpu_times()
    return (after[0] - before[0]) / (after[1] - before[1]) * os.cpu_count()


def build(*targets):
    if not (TREE / "build.ninja").exists():
        subprocess.run(["cmake", "--preset", "release"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", str(TREE), "--quiet", *targets], cwd=ROOT, check=True)


def median(values):
    values = sorted(values)
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2


def spread(values):
    return (max(values) - min(values)) / median(values) if median(values) else 0.0


# ---- kernels of a layer (Google Benchmark)

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
        times = [entry["real_time"] for entry in runs]
        known = {"real_time", "cpu_time", "iterations", "threads", "repetitions", "repetition_index",
                 "family_index", "per_family_instance_index"}
        source = group.get("median", runs[0])
        counters = {k: v for k, v in source.items() if isinstance(v, (int, float)) and k not in known}
        yield name, median(times), spread(times), runs[0]["time_unit"], counters


def measure_layer(name, program, arguments):
    benchmarks = run(program, arguments)
    for title, middle, width, unit, counters in rows(benchmarks):
        extra = "  ".join(f"{k}={v:.4g}" if isinstance(v, (int, float)) else f"{k}: {v}" for k, v in counters.items())
        if middle is None:
            print(f"{name:14} {title:60} {extra}")
        else:
            print(f"{name:14} {title:60} {middle:12.3f} {unit}  {100 * width:5.1f} %  {extra}", flush=True)
    return benchmarks


# ---- figures: ours, the baseline, ours with AVX2 forced

HEAD = ("name", "ours", "spread", "baseline", "spread", "ratio", "target", "")


def table(figures):
    """Rows of text, one per figure and vector target of ours."""
    out = []
    for entry in figures:
        values, unit = entry["values"], entry["unit"]
        baseline = values.get("baseline") or []
        for variant in (name for name in ("ours", bench_tfhe.FORCED) if values.get(name)):
            ours = values[variant]
            ratio = median(ours) / median(baseline) if baseline else None
            target, verdict = "report", ""
            if "target" in entry:
                target, met = f"{entry['target']:g} {unit}", median(ours) <= entry["target"]
                verdict = "ok" if met else "over"
            elif "target_ratio" in entry:
                target = f"ratio {entry['target_ratio']:g}"
                verdict = "" if ratio is None else "ok" if ratio <= entry["target_ratio"] else "over"
            forced = "" if variant == "ours" else f", {variant} forced"
            cell = lambda numbers: (f"{median(numbers):.4g} {unit} ({len(numbers)})", f"{100 * spread(numbers):.0f} %")
            out.append((entry["name"] + forced, *cell(ours), *(cell(baseline) if baseline else ("-", "-")),
                        f"{ratio:.2f}" if ratio is not None else "-", target, verdict))
    return out


def print_table(lines):
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    for line in lines:
        print("  ".join(word.ljust(width) for word, width in zip(line, widths)).rstrip(), flush=True)


def markdown_table(lines):
    text = ["| " + " | ".join(lines[0]) + " |", "|" + "---|" * len(lines[0])]
    return "\n".join(text + ["| " + " | ".join(line) + " |" for line in lines[1:]])


# ---- committees under load

def measure_service(name, arguments):
    command = [sys.executable, str(ROOT / "scripts/bench_service.py"), *SERVICES[name], "--seconds", str(arguments.seconds)]
    return in_a_script(name, command)


def in_a_script(name, command):
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        done = subprocess.run([*command, "--json", report.name])
        if done.returncode != 0:
            sys.exit(f"{name} ended with {done.returncode}")
        return json.loads(pathlib.Path(report.name).read_text())


def memory_table(measured):
    lines = [("after", "peak of the dealer, MiB", "peak of the others, MiB", "resident then, MiB")]
    keys = ("dealer_peak_mib", "others_peak_mib", "resident_mib")
    return lines + [(row["what"], *(str(row[key]) for key in keys)) for row in measured["rows"]]


def service_table(measured, name):
    lines = [("in flight", "per second", "p50 ms", "p99 ms", "CPU ms per node", "failed")]
    for row in measured["rows"]:
        rate, alone = f"{row['per_second']:.1f}", f"{row['p50_ms']:.2f}"
        if name in PER_SECOND_AT_LEAST:
            least = PER_SECOND_AT_LEAST[name]
            if row is measured["rows"][-1]:
                rate += f"; {'ok' if row['per_second'] >= least else 'under'}, target {least:g}"
            if row["in_flight"] == 1:
                alone += f"; {'ok' if row['p50_ms'] <= ALONE_MS_AT_MOST else 'over'}, target {ALONE_MS_AT_MOST:g}"
        lines.append((str(row["in_flight"]), rate, alone, f"{row['p99_ms']:.2f}", f"{row['cpu_ms_per_node']:.2f}",
                      str(row["failed"])))
    return lines


def stages_table(measured):
    """Where the time goes, with the most in flight."""
    row = measured["rows"][-1]
    lines = [(f"with {row['in_flight']} in flight", "CPU us per node and request")]
    lines += [(stage, f"{used:.0f}") for stage, used in sorted(row["stages_us"].items(), key=lambda item: -item[1]) if used >= 0.5]
    return lines + [("the client, for each request", f"{row['client_us']:.0f}")]


def measure_keygen(name, arguments):
    words = ["--default"] if arguments.default else []
    return in_a_script(name, [sys.executable, str(ROOT / "scripts/bench_keygen.py"), name, *words])


def with_target(row, figure, digits=4):
    """The figure, and in brackets what it should be at most."""
    target = row["targets"].get(figure)
    spread_of = row.get(figure + "_spread")
    text = f"{row[figure]:.{digits}g}" + (f" ({100 * spread_of:.0f} %)" if spread_of else "")
    return text if target is None else f"{text}; {'ok' if row[figure] <= target else 'over'}, target {target:g}"


def committee_bits_table(measured):
    lines = [("n, k, what becomes of them", "CPU us per party and bit", "wall us per bit", "bytes sent per party and bit")]
    return lines + [(f"{row['parties']}, {row['word_bits']}, {row['kind']}{', AVX2 forced' if row['avx2_forced'] else ''}",
                     *(with_target(row, figure, 3) for figure in ("cpu_us", "wall_us", "bytes"))) for row in measured["rows"]]


def keygen_table(measured):
    lines = [("", "wall, s", "CPU per node, s", "sent per node, MB", "peak memory, MiB")]
    for row in measured["rows"]:
        name = f"`{row['params']}`, n = {row['parties']}"
        lines.append((name, *(with_target(row, figure) for figure in ("wall_s", "cpu_s", "sent_mb", "peak_mib"))))
        if row["incumbent"]:
            of = lambda figure: f"{row['incumbent'][figure]:,g}" if figure in row["incumbent"] else "-"
            lines.append((f"the incumbent, {name}", of("wall_s"), of("cpu_s"), of("sent_mb"), "-"))
    return lines


def latency_table(measured):
    lines = [("U64, one after the other", "p50 ms", "p99 ms", "decryptions", "failed")]
    for name, what in (("idle", "nothing else happens"), ("busy", "a `default` preprocessing runs")):
        row = measured[name]
        lines.append((what, f"{row['p50_ms']:.2f}", f"{row['p99_ms']:.2f}", str(row["count"]), str(row["failed"])))
    return lines + [("ratio", f"{measured['ratio_p50']:.2f}", f"{measured['ratio_p99']:.2f}", "", "")]


# ---- the page

def replace_between(text, name, new):
    begin, end = f"<!-- bench: {name} -->", f"<!-- end: {name} -->"
    if begin not in text or end not in text:
        return text
    before, rest = text.split(begin, 1)
    return before + begin + "\n" + new.strip() + "\n" + end + rest.split(end, 1)[1]


def write_page(page, out):
    """Refreshes what stands between the markers of the page; everything else in it is written by hand."""
    text = page.read_text()
    host, about = out["machine"], out["versions"]
    busy = [f"{name} {seconds:.1f}" for name, seconds in out["busy_cores"].items() if seconds > 0.2]
    note = f"Others kept cores busy when a part began ({', '.join(busy)} of {host['cores']}): to be measured again." if busy \
        else "The machine was idle otherwise."
    text = replace_between(text, "machine", "\n".join([
        f"- {out['date']}, commit {about['witan']}; tfhe-rs {about['tfhe-rs']}, {about['tfhe-rs features']}, "
        f"rustc {about['rustc']}",
        f"- {machine_line(host)}; vector target of ours: {about.get('target', '-')}",
        f"- {note}", *([f"- No baseline: {out['no_baseline']}"] if out.get("no_baseline") else [])]))
    if out["figures"]:
        text = replace_between(text, "figures", markdown_table([HEAD, *table(out["figures"])]))
    for name, measured in out["services"].items():
        text = replace_between(text, name, markdown_table(service_table(measured, name)) + "\n\n" + markdown_table(stages_table(measured)))
    if "committee_bits" in out:
        text = replace_between(text, "committee-bits", markdown_table(committee_bits_table(out["committee_bits"])))
    if "keygen" in out:
        text = replace_between(text, "keygen", markdown_table(keygen_table(out["keygen"])))
    if "keygen-latency" in out:
        text = replace_between(text, "keygen-latency", markdown_table(latency_table(out["keygen-latency"])))
    if "memory" in out:
        text = replace_between(text, "memory", markdown_table(memory_table(out["memory"])))
    if "decrypt" in out["layers"]:
        lines = [("operation", "median", "spread")]
        lines += [(title, f"{middle:.4g} {unit}", f"{100 * width:.0f} %") for title, middle, width, unit, _ in
                  rows(out["layers"]["decrypt"]) if middle is not None]
        text = replace_between(text, "decrypt", markdown_table(lines))
    if "bits" in out["layers"]:
        lines = [("operation", "us per bit", "spread", "its AES alone, us")]
        lines += [(title, f"{counters['us_per_bit']:.3g}", f"{100 * width:.0f} %",
                   f"{counters['aes_us']:.3g}" if "aes_us" in counters else "-")
                  for title, middle, width, _, counters in rows(out["layers"]["bits"])
                  if middle is not None and "us_per_bit" in counters]
        text = replace_between(text, "bits", markdown_table(lines))
    page.write_text(text)


def measure_one(name, world, programs, arguments, out):
    if name in bench_tfhe.FIGURES:
        out["figures"] += bench_tfhe.FIGURES[name](world)
    elif name in SERVICES:
        print(f"{name}:", flush=True)
        out["services"][name] = measure_service(name, arguments)
    elif name == "memory":
        print("memory:", flush=True)
        out["memory"] = in_a_script(name, [sys.executable, str(ROOT / "scripts/bench_memory.py")])
    elif name in KEYGEN:
        print(f"{name}:", flush=True)
        out[name] = measure_keygen(name, arguments)
    elif name in programs:
        out["layers"][name] = measure_layer(name, programs[name], arguments)
        if name == "bits" and not arguments.filter:
            out["committee_bits"] = measure_keygen(name, arguments)
    else:
        print(f"{name}: there is no program for it in this tree", flush=True)


def measure(names, programs, arguments):
    out = {"machine": machine(), "date": time.strftime("%Y-%m-%d"), "busy_cores": {}, "seconds_of": {}, "failed": {},
           "figures": [], "services": {}, "layers": {}, "versions": dict(bench_tfhe.versions(), witan=commit())}
    print(f"{machine_line(out['machine'])}; spread = (max - min) / median, number of repetitions in brackets", flush=True)
    world = bench_tfhe.World() if any(name in bench_tfhe.FIGURES for name in names) else None
    if world and world.missing:
        out["no_baseline"] = world.missing
        print(f"no baseline: {world.missing}", flush=True)
    try:
        for name in names:
            if world and name not in bench_tfhe.FIGURES:
                world.stop_servers()  # gigabytes of keys
            if (busy := busy_now()) > 0.2:
                print(f"{name}: others keep {busy:.1f} cores busy; measure again when they do not", flush=True)
            out["busy_cores"][name] = round(busy, 2)
            begun = time.monotonic()
            try:
                measure_one(name, world, programs, arguments, out)
            except SystemExit as failure:  # the others are measured all the same
                out["failed"][name] = str(failure)
                print(f"{name}: {failure}", file=sys.stderr, flush=True)
            out["seconds_of"][name] = round(time.monotonic() - begun)
        if world and world.loaded:
            out["loading"] = world.loaded
            out["versions"]["target"] = world.loaded["ours"].get("target", "")
    finally:
        if world:
            world.close()
    return out


def commit():
    done = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"], stdout=subprocess.PIPE,
                          text=True)
    return done.stdout.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="see above; all if there is none")
    parser.add_argument("--filter", help="regular expression over the names of kernels")
    parser.add_argument("--repetitions", type=int, default=5, help="of kernels")
    parser.add_argument("--seconds", type=float, default=8, help="for each number of requests in flight of a service")
    parser.add_argument("--default", action="store_true", help="keygen: with production parameters too")
    parser.add_argument("--json", metavar="FILE", type=pathlib.Path, help="writes everything to this file")
    parser.add_argument("--markdown", metavar="FILE", type=pathlib.Path, help="refreshes the tables of this page")
    parser.add_argument("--from-json", metavar="FILE", type=pathlib.Path, help="measures nothing: takes a file of --json")
    arguments = parser.parse_args()
    if arguments.markdown and not arguments.markdown.is_file():
        sys.exit(f"{arguments.markdown}: no such page")
    if arguments.from_json:
        out = json.loads(arguments.from_json.read_text())
    else:
        build("programs", "benchmarks")
        programs = {p.name.removeprefix("witan_").removesuffix("_bench"): p for p in sorted(TREE.glob("witan_*_bench"))}
        layers = tuple(name for name in programs if name not in NAMES)
        groups = {"all": NAMES, "layers": layers}
        names = [name for word in arguments.names or ["all"] for name in groups.get(word, (word,))]
        if unknown := [name for name in names if name not in NAMES and name not in programs]:
            sys.exit(f"no benchmark '{unknown[0]}'; there are {', '.join((*NAMES, *layers))}, layers, all")
        begun = time.monotonic()
        out = measure(names, programs, arguments)
        out["seconds"] = round(time.monotonic() - begun)
        if arguments.json:
            arguments.json.write_text(json.dumps(out, indent=1) + "\n")
    if out["figures"]:
        print_table([HEAD, *table(out["figures"])])
    if arguments.markdown:
        write_page(arguments.markdown, out)
    print(f"{out['seconds']} s in all", flush=True)
    sys.exit(1 if out["failed"] else 0)


if __name__ == "__main__":
    main()
