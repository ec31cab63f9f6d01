#!/usr/bin/env python3
"""Builds and runs all tests; the last line is "N passed, N failed, N skipped"."""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
UNIT_TIMEOUT_S = 600
SANITIZED_TIMEOUT_S = 1200  # of a unit program
STEP_TIMEOUT_S = 600
CAMPAIGN_TIMEOUT_S = 4 * 3600
CAMPAIGN_SHARDS = 12  # of each program, so that all cores are busy until the end
CAMPAIGN_SEEDS, CAMPAIGN_SET_UPS = 10000, 500  # at least, in all; of set-ups of epochs at (13,4)
CAMPAIGN_PROTOCOLS = ("broadcast", "vss", "coin", "set-up", "common start", "detected opening k=64", "detected opening k=128",
                      "preprocessing", "preprocessing restart", "key generation",
                      "key generation with existing keys", "opening k=64", "opening k=128", "decrypt", "confirmation")
CAMPAIGN_PARTIES = (4, 7, 10, 13)
NOISE_TIMEOUT_S = 1800
INTEROP_TIMEOUT_S = 3600  # builds tfhe-rs the first time
# ThreadSanitizer runs what has several threads. api and transport have them too, but it does not see the atomics inside of
# Debian's gRPC, which hand data from thread to thread: every test of these would be reported.
THREADED = ("crypto", "metrics", "mpc", "protocols", "runtime", "store_journal", "store_vault_file")


SLOWEST = ("witan_protocols_tests", "witan_mpc_tests")  # begin first, so that all cores are busy until the end


class Outcome:
    def __init__(self, name, passed, failed, skipped, seconds, text=""):
        self.name, self.passed, self.failed, self.skipped = name, passed, failed, skipped
        self.seconds, self.text = seconds, text


def run(command, timeout, env=None, cwd=ROOT):
    start = time.monotonic()
    try:
        done = subprocess.run(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=timeout, errors="replace", stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout, time.monotonic() - start
    except subprocess.TimeoutExpired as late:
        text = late.stdout or ""
        return -1, (text if isinstance(text, str) else text.decode(errors="replace")) + \
            f"\ntimed out after {timeout} s", time.monotonic() - start


def gtest(program, timeout, env=None):
    with tempfile.NamedTemporaryFile(suffix=".json") as report:
        code, text, seconds = run([str(program), f"--gtest_output=json:{report.name}", "--gtest_brief=1"], timeout, env)
        try:
            suites = json.load(open(report.name))["testsuites"]
        except (json.JSONDecodeError, OSError, KeyError):
            return Outcome(program.name, 0, 1, 0, seconds, text + f"\nended without a report, exit code {code}")
    passed = failed = skipped = 0
    for suite in suites:
        for case in suite["testsuite"]:
            if case.get("failures"):
                failed += 1
            elif case.get("result") == "SKIPPED":
                skipped += 1
            else:
                passed += 1
    if code != 0 and failed == 0:
        failed, text = 1, text + f"\nexit code {code} without a failed test"
    if code == 0 and passed + skipped == 0:
        failed, text = 1, text + "\nno test was run"
    return Outcome(program.name, passed, failed, skipped, seconds, text)


def step(name, command, timeout=STEP_TIMEOUT_S, expect=(), refuse=(), exit_code=0):
    code, text, seconds = run(command, timeout)
    missing = [line for line in expect if line not in text] + [f"not: {line}" for line in refuse if line in text]
    good = code == exit_code and not missing
    if not good:
        text += f"\nexit code {code}, expected {exit_code}; expected: {missing}"
    return Outcome(name, int(good), int(not good), 0, seconds, text)


def interop():
    """tfhe-rs as a judge, where there is a cargo that can build it."""
    version = lambda text: tuple(int(part) for part in re.search(r"(\d+)\.(\d+)\.(\d+)", text).groups())
    manifest = (ROOT / "tests/interop/tfhe_rs/Cargo.toml").read_text()
    needed = version(re.search(r'rust-version = "(.*)"', manifest).group(1))
    try:
        text = subprocess.run(["cargo", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        text = "none"
    if text == "none" or version(text) < needed:
        reason = f"cargo {'.'.join(map(str, needed))} or newer is needed, found {text.strip()}"
        return Outcome("interop", 0, 0, 1, 0, reason)
    return step("interop", [sys.executable, "scripts/interop.py"], INTEROP_TIMEOUT_S, expect=[" checks passed, 0 failed"])


def show(outcome):
    mark = "ok  " if outcome.failed == 0 else "FAIL"
    skipped = f", {outcome.skipped} skipped" if outcome.skipped else ""
    print(f"{mark} {outcome.name}: {outcome.passed} passed, {outcome.failed} failed{skipped} ({outcome.seconds:.1f} s)",
          flush=True)
    if outcome.failed or outcome.skipped:
        print(outcome.text[-8000:], flush=True)


def units_of(tree):
    units = [p for p in sorted(tree.glob("witan_*_tests")) if p.name not in ("witan_e2e_tests", "witan_noise_tests")]
    return sorted(units, key=lambda program: program.name not in SLOWEST)


def sanitized(preset, names, note):
    """Unit and simulator tests (a tenth of the seeds) with a sanitizer."""
    start = time.monotonic()
    if preset == "tsan":
        names = [name for name in names if name in {f"witan_{layer}_tests" for layer in THREADED}]
    try:
        build(preset, names)
    except subprocess.CalledProcessError:
        return note(Outcome(f"{preset} build", 0, 1, 0, time.monotonic() - start))
    print(f"{preset} built in {time.monotonic() - start:.0f} s", flush=True)
    environment = dict(os.environ, WITAN_SIM_PERCENT="10",
                       LSAN_OPTIONS=f"suppressions={ROOT}/scripts/sanitizers/lsan.supp:print_suppressions=0")
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as pool:
        jobs = [pool.submit(gtest, ROOT / "build" / preset / name, SANITIZED_TIMEOUT_S, environment) for name in names]
        for job in concurrent.futures.as_completed(jobs):
            outcome = job.result()
            outcome.name = f"{preset} {outcome.name}"
            note(outcome)


def campaign(tree, note):
    """The simulator's campaigns at ten times their seeds, and what they have seen."""
    texts = []

    def shard(job):
        program, index = job
        environment = dict(os.environ, WITAN_SIM_PERCENT="1000", WITAN_SIM_REPORT="1", GTEST_SHARD_INDEX=str(index),
                           GTEST_TOTAL_SHARDS=str(CAMPAIGN_SHARDS))
        outcome = gtest(tree / program, CAMPAIGN_TIMEOUT_S, environment)
        outcome.name += f" {index + 1}/{CAMPAIGN_SHARDS}"
        return outcome

    jobs = [(program, index) for index in range(CAMPAIGN_SHARDS) for program in ("witan_mpc_tests", "witan_protocols_tests")]
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as pool:
        for outcome in pool.map(shard, jobs):
            note(outcome)
            texts.append(outcome.text)
    problems, lines = campaign_table("\n".join(texts))
    print(*lines, sep="\n", flush=True)
    note(Outcome("campaign_table", int(not problems), int(bool(problems)), 0, 0, "\n".join(problems)))


def campaign_table(text):
    """(problems, lines): per campaign its seeds, its adversaries, how often each defence that it expects has fired."""
    runs, seen, expected, name = {}, {}, {}, None
    for line in text.splitlines():
        if match := re.fullmatch(r"campaign (.+): (\d+) runs, (\d+) failed", line):
            name = match[1]
            before = runs.get(name, (0, 0))
            runs[name] = (before[0] + int(match[2]), before[1] + int(match[3]))
        elif match := re.fullmatch(r"campaign (.+): expects (.+) (\d+)", line):
            expected.setdefault(match[1], {})[match[2]] = int(match[3])
            name = None
        elif name and (match := re.fullmatch(r"(\S.*) (\d+)", line)):
            counts = seen.setdefault(name, {})
            counts[match[1]] = counts.get(match[1], 0) + int(match[2])
    problems = [f"{name}: {what} was never seen" for name, ones in expected.items() for what, count in ones.items() if not count]
    problems += [f"{name}: {failed} of {count} seeds failed" for name, (count, failed) in runs.items() if failed]
    seeds = sum(count for count, _ in runs.values())
    if seeds < CAMPAIGN_SEEDS:
        problems.append(f"{seeds} seeds, at least {CAMPAIGN_SEEDS} were to be run")
    set_ups = runs.get("set-up n=13", (0, 0))[0]
    if set_ups < CAMPAIGN_SET_UPS:
        problems.append(f"{set_ups} set-ups at (13,4), at least {CAMPAIGN_SET_UPS} were to be run")
    for protocol in CAMPAIGN_PROTOCOLS:
        problems += [f"no campaign of {protocol} with {parties} parties" for parties in CAMPAIGN_PARTIES
                     if not any(re.fullmatch(rf"{protocol} n={parties}\b.*", name) for name in runs)]
    lines = ["", f"{'campaign':44} {'seeds':>6} {'failed':>6}  adversaries, and how often each defence has fired"]
    for name, (count, failed) in sorted(runs.items()):
        counts = seen.get(name, {})
        adversaries = {what.removeprefix("adversary "): times for what, times in counts.items() if what.startswith("adversary ")}
        lines.append(f"{name:44} {count:6} {failed:6}  {len(adversaries)} ways to be faulty, "
                     f"{sum(adversaries.values())} faulty parties")
        for what, times in sorted(adversaries.items()):
            lines.append(f"{'':60}{times:8} {what}")
        for what, times in sorted(expected.get(name, {}).items()):
            if not what.startswith("adversary "):
                lines.append(f"{'':60}{times:8} defence: {what}")
    for name in sorted(set(expected) - set(runs)):  # several campaigns together
        lines.append(f"{name:44} {'':6} {'':6}  all together")
        lines += [f"{'':60}{times:8} defence: {what}" for what, times in sorted(expected[name].items())]
    return problems, [*lines, f"{seeds} seeds in all, {set_ups} set-ups of epochs at (13,4)"]


def build(preset, targets):
    if not (ROOT / "build" / preset / "build.ninja").exists():
        subprocess.run(["cmake", "--preset", preset], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", f"build/{preset}", "--quiet", *targets], cwd=ROOT, check=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", help="run only tests whose name contains this")
    parser.add_argument("--preset", default="release")
    parser.add_argument("--quick", action="store_true", help="unit and simulator tests only, without sanitizers")
    parser.add_argument("--campaign", action="store_true", help="only the simulator, ten times the seeds, with coverage")
    parser.add_argument("--fuzz", nargs="?", type=int, const=20, metavar="SECONDS", help="only the fuzz targets")
    arguments = parser.parse_args()
    if arguments.fuzz:
        sys.exit(subprocess.run([sys.executable, "scripts/fuzz.py", "--seconds", str(arguments.fuzz)], cwd=ROOT).returncode)
    wanted = lambda name: arguments.only is None or arguments.only in name

    start = time.monotonic()
    build(arguments.preset, ["tests"] if arguments.quick else ["tests", "programs"])
    print(f"built in {time.monotonic() - start:.0f} s", flush=True)

    tree = ROOT / "build" / arguments.preset
    outcomes = []

    def note(outcome):
        show(outcome)
        outcomes.append(outcome)

    if arguments.campaign:
        campaign(tree, note)
        return finish(outcomes, start)

    if wanted("rules_table"):
        note(step("rules_table", [sys.executable, "scripts/check_rules.py"]))
    if wanted("constant_time"):
        under_valgrind = ["valgrind", "--quiet", "--error-limit=no", str(tree / "witan_ct")]
        note(step("constant_time", under_valgrind))
        note(step("constant_time_twins_leak", [*under_valgrind, "--leaky"]))
    units = [p for p in units_of(tree) if wanted(p.name)]
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as pool:
        for job in concurrent.futures.as_completed([pool.submit(gtest, p, UNIT_TIMEOUT_S) for p in units]):
            note(job.result())
    if not arguments.quick:
        if wanted("noise"):  # uses all cores itself
            note(gtest(tree / "witan_noise_tests", NOISE_TIMEOUT_S))
        for program in sorted(tree.glob("witan_*e2e*_tests")):
            if wanted(program.name):
                note(gtest(program, 900, dict(os.environ, WITAN_BIN=str(tree / "bin"))))
        too_many = {"exit_code": 1, "expect": ["error: no 3 parties give the same answer", "demo: failed"],
                    "refuse": ["both signatures verified", "equal to what the client encrypted"]}
        for name, extra, wanted_outcome in (
                ("demo", [], {"expect": ["\ndemo: ok"]}),
                ("demo_silent", ["--silent", "1"], {"expect": ["party 4 was SILENT", "\ndemo: ok"]}),
                ("demo_liar", ["--liar", "1"], {"expect": ["party 4 LIED", "\ndemo: ok"]}),
                ("demo_silent_2", ["--silent", "2", "--timeout", "10"], too_many),
                ("demo_liar_2", ["--liar", "2", "--timeout", "10"], too_many)):
            if wanted(name):
                note(step(name, ["./dev", "demo", *extra], **wanted_outcome))
        if wanted("chain"):
            note(step("chain", [sys.executable, "scripts/chain.py"], expect=[" checks passed, 0 failed"]))
        if wanted("grpc_client"):
            note(step("grpc_client", [sys.executable, "scripts/grpc_client.py"], expect=[" checks passed, 0 failed"]))
        if wanted("interop"):
            note(interop())

        for preset in ("asan", "tsan"):
            if wanted(preset):
                sanitized(preset, [p.name for p in units_of(tree)], note)

    finish(outcomes, start)


def finish(outcomes, start):
    failed = sum(o.failed for o in outcomes)
    print(f"{time.monotonic() - start:.0f} s in all")
    print(f"{sum(o.passed for o in outcomes)} passed, {failed} failed, {sum(o.skipped for o in outcomes)} skipped")
    sys.exit(1 if failed or not outcomes else 0)


if __name__ == "__main__":
    main()
