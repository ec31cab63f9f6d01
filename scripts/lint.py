#!/usr/bin/env python3
"""Format, layers, rules table; clang-tidy on files changed since the base commit (or all with --all)."""
import argparse
import concurrent.futures
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
import check_layers  # noqa: E402
import check_rules  # noqa: E402


def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()


def badly_formatted(files):
    done = subprocess.run(["clang-format-19", "--dry-run", "-Werror", *files], cwd=ROOT, capture_output=True, text=True)
    return [line for line in done.stderr.splitlines() if "error:" in line]


def tidy(file):
    done = subprocess.run(["clang-tidy-19", "-p", "build/release", "--quiet", file], cwd=ROOT, capture_output=True, text=True)
    return done.stdout if done.returncode else ""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--base", help="clang-tidy looks at .cc files changed since this commit (default: the last commit)")
    parser.add_argument("--all", action="store_true", help="clang-tidy on every .cc file")
    arguments = parser.parse_args()
    problems = 0

    count, layer_problems = check_layers.check()
    print(*layer_problems, sep="\n") if layer_problems else None
    problems += len(layer_problems)
    rule_problems = check_rules.check()
    print(*rule_problems, sep="\n") if rule_problems else None
    problems += len(rule_problems)

    sources = [f for f in git("ls-files", "*.cc", "*.h")]
    bad = badly_formatted(sources) if sources else []
    print(*bad[:20], sep="\n") if bad else None
    problems += len(bad)

    if arguments.all:
        changed = [f for f in sources if f.endswith(".cc") and f.startswith("src/")]
    else:
        base = arguments.base or "HEAD~1"
        known = subprocess.run(["git", "rev-parse", "--verify", "-q", base], cwd=ROOT, capture_output=True).returncode == 0
        changed = [f for f in git("diff", "--name-only", "--diff-filter=AM", base, "--", "src/*.cc")] if known else []
    if changed and not (ROOT / "build/release/compile_commands.json").exists():
        subprocess.run(["cmake", "--preset", "release"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    if changed:  # generated headers must exist before a file that includes them is analysed
        subprocess.run(["ninja", "-C", "build/release", "--quiet", "generated"], cwd=ROOT, check=True)
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as pool:
        for text in pool.map(tidy, changed):
            if text:
                problems += 1
                print(text)
    print(f"lint: {len(sources)} files, {count} checked for layers, {len(changed)} with clang-tidy, {problems} problems")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
