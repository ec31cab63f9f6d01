#!/usr/bin/env python3
"""Checks docs/rules.md: every rule S1..S44 has a row, and each names tests that exist or the feature that will bring it."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
COMING = ("user decryption", "resharing", "W3")  # what does not exist yet and may be named instead of a test
ROW = re.compile(r"^\|\s*(S\d+)\s*\|([^|]*)\|([^|]*)\|\s*$")
TEST = re.compile(r"`([a-z0-9_/]+)_test\.cc:(\w+)\.(\w+)`")


def check():
    problems, seen = [], []
    for line in (ROOT / "docs/rules.md").read_text().splitlines():
        match = ROW.match(line)
        if not match:
            continue
        rule, _, enforced = match.groups()
        seen.append(rule)
        tests = TEST.findall(enforced)
        for file, suite, name in tests:
            path = ROOT / "tests" / f"{file}_test.cc"
            if not path.exists():
                problems.append(f"docs/rules.md: {rule} names the file {path.relative_to(ROOT)}, which is not there")
            elif not re.search(rf"\b(TYPED_)?TEST(_F|_P)?\(\s*{suite},\s*{name}\)", path.read_text()):
                problems.append(f"docs/rules.md: {rule} names {suite}.{name}, which is not in {path.relative_to(ROOT)}")
        if not tests and enforced.strip() not in [f"comes with: {feature}" for feature in COMING]:
            problems.append(f"docs/rules.md: {rule} has neither a test nor 'comes with: <one of {', '.join(COMING)}>'")
        if (feature := re.search(r"comes? with:? ([\w ]+)", enforced)) and feature[1].strip() not in COMING:
            problems.append(f"docs/rules.md: {rule} comes with {feature[1].strip()}, expected one of {', '.join(COMING)}")
    expected = [f"S{i}" for i in range(1, 45)]
    if seen != expected:
        problems.append(f"docs/rules.md: rows are {seen}, expected S1..S44 in order")
    return problems


if __name__ == "__main__":
    found = check()
    print(*found, sep="\n", file=sys.stderr)
    print(f"rules: {len(found)} problems")
    sys.exit(1 if found else 0)
