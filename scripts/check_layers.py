#!/usr/bin/env python3
"""Checks every #include of src/ against the edges in cmake/layers.cmake, and that no layer hands heavy headers to another:
a header may include one only if nothing outside of its layer includes that header, directly or through others."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
HEAVY = re.compile(r"^(grpc|grpcpp|google/protobuf|spdlog|CLI|cryptopp|openssl|sqlite3|nlohmann|toml\+\+|secp256k1)")
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')


def edges():
    text = re.sub(r"#.*", "", (ROOT / "cmake/layers.cmake").read_text())
    layers, programs = {}, {}
    for kind, body in re.findall(r"witan_(layer|program)\(([^)]*)\)", text):
        words = body.split()
        deps, key = [], None
        for word in words[1:]:
            if word in ("DEPS", "LIBS", "PRIVATE_LIBS", "TEST_DEPS"):
                key = word
            elif key == "DEPS":
                deps.append(word)
        (layers if kind == "layer" else programs)[words[0]] = set(deps)
    return layers, programs


def layer_of(path, layers):
    parts = path.split("/")
    for depth in (2, 1):
        name = "/".join(parts[:depth])
        if name in layers:
            return name
    return None


def check():
    layers, programs = edges()
    problems = []
    order = {name: i for i, name in enumerate(layers)}
    for name, deps in layers.items():
        for dep in deps:
            if dep not in layers:
                problems.append(f"cmake/layers.cmake: {name} depends on the unknown layer {dep}")
            elif order[dep] >= order[name]:
                problems.append(f"cmake/layers.cmake: {name} depends on {dep}, which stands above it")
    files = 0
    owner, included, heavy = {}, {}, {}  # by file: its layer, the headers of ours it includes, heavy headers
    for path in sorted((ROOT / "src").rglob("*")):
        if path.suffix not in (".h", ".cc"):
            continue
        files += 1
        relative = path.relative_to(ROOT / "src").as_posix()
        if relative.startswith("apps/"):
            allowed = set().union(*programs.values(), {"base"}) | set(layers) if programs else set(layers)
            own = "apps"
        else:
            own = layer_of(relative, layers)
            if own is None:
                problems.append(f"src/{relative}: belongs to no layer of cmake/layers.cmake")
                continue
            allowed = layers[own] | {own}
        owner[relative], included[relative], heavy[relative] = own, [], []
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            quote, target = match.groups()
            if path.suffix == ".h" and HEAVY.match(target):
                heavy[relative].append(target)
            if quote == '"':
                included[relative].append(target)
            if quote == '"' and not target.endswith(".pb.h"):
                dep = "apps" if own == "apps" and target.startswith("apps/") else layer_of(target, layers)
                if dep == "apps":
                    continue
                if dep is None:
                    problems.append(f'src/{relative}:{number}: "{target}" is in no layer')
                elif dep not in allowed:
                    problems.append(f"src/{relative}:{number}: layer {own} may not include {dep} ({target})")
    for relative in sorted(owner):
        reached, waiting = set(), list(included[relative])
        while waiting:
            header = waiting.pop()
            if header in reached or header not in owner:
                continue
            reached.add(header)
            waiting += included[header]
            if heavy[header] and owner[header] != owner[relative]:
                problems.append(f"src/{relative}: gets the heavy header <{heavy[header][0]}> from src/{header}")
    return files, problems


if __name__ == "__main__":
    count, found = check()
    print(*found, sep="\n", file=sys.stderr)
    print(f"layers: {count} files, {len(found)} problems")
    sys.exit(1 if found else 0)
