#!/usr/bin/env python3
"""Builds the fuzz targets, seeds them with the vectors of tests/data and runs each for so many seconds."""
import argparse
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TREE = ROOT / "build/fuzz"
DATA = ROOT / "tests/data"
MAX_SEED_BYTES = 1 << 20
MAX_LEN = {"objects": 65536, "ciphertexts": 65536, "journal": 65536, "records": 1 << 19}

# Position in the table of tests/fuzz/fuzz_requests.cc.
REQUESTS = ["RequestId", "PublicDecryptionRequest", "PublicDecryptionResponse", "KeyGenPreprocRequest",
            "KeyGenPreprocResult", "KeyGenRequest", "KeyGenResult", "NewMpcEpochRequest", "DestroyMpcEpochRequest",
            "KeyMaterialAvailabilityResponse", "HealthStatusResponse", "GetRequestStatusesRequest",
            "GetRequestStatusesResponse", "ListRequestsRequest", "ListRequestsResponse", "GetMetaStoreInfoResponse"]
FORMATS = {"small_compressed": 0, "small_expanded": 1, "big_compressed": 2, "big_expanded": 3}
TYPES = ["bool", "uint8", "uint16", "uint32", "uint64", "uint128", "uint160", "uint256"]


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def field(number, content):
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def seeds(name):
    """Pairs of a file name and its content."""
    objects = [p for p in sorted((DATA / "tfhe").rglob("*.bin")) if p.stat().st_size <= MAX_SEED_BYTES]
    if name == "objects":
        for path in objects:
            yield "_".join(path.relative_to(DATA).parts), path.read_bytes()
    elif name == "ciphertexts":
        for path in (DATA / "tfhe/native-1.7.0/test").glob("*.bin"):
            match = re.match(r"(small|big)_(compressed|expanded)_(bool|uint\d+)", path.stem)
            if match:
                head = FORMATS[f"{match[1]}_{match[2]}"] | TYPES.index(match[3]) << 2
                yield path.name, bytes([head]) + path.read_bytes()
    elif name == "requests":
        messages = json.loads((DATA / "service/proto_wire.json").read_text())["messages"]
        for number, entry in enumerate(messages):
            short = entry["message"].split(".")[-1]
            if short in REQUESTS:
                yield f"{number}-{short}", bytes([REQUESTS.index(short)]) + bytes.fromhex(entry["wire"])
    elif name == "packets":
        own = b"\1" + bytes(15)  # the process of the side that is fuzzed
        hello = lambda process, more=b"": field(1, field(1, 1) + field(2, b"c" * 32) + field(3, 2) + field(4, process * 16) +
                                                field(5, 1) + more + field(8, 1 << 20))
        start = lambda first: field(2, field(1, first))
        head = lambda frame, size: field(1, frame) + field(3, b"s" * 16) + field(4, 1) + field(5, size)
        piece = lambda frame: field(3, head(frame, 3) + field(7, b"abc"))
        empty = lambda frame: field(3, head(frame, 0))
        cut = lambda frame: field(3, head(frame, 1 << 19) + field(7, b"abc"))
        beat = lambda received: field(5, field(1, 1) + field(2, 1) + field(3, received))
        grant = lambda received: field(4, field(1, 1 << 20) + field(2, received))
        flows = {
            "flow": [hello(b"p"), start(1), piece(1), empty(2), piece(3), piece(4), grant(2), beat(3)],
            "again": [hello(b"p"), start(1), piece(1), hello(b"p"), hello(b"p", field(6, own) + field(7, 1)), start(2), piece(2)],
            "lost": [hello(b"p"), start(1), piece(1), start(1), hello(b"p"), start(5), empty(5), grant(9)],
            "other": [hello(b"p"), start(1), piece(1), hello(b"p"), hello(b"q"), start(1), piece(1), beat(99)],
            "self": [field(1, field(1, 1) + field(2, b"c" * 32) + field(4, own))],
            "cut": [hello(b"p"), start(1), cut(1), field(1, field(1, 2)), b"\xff"],
        }
        for file, packets in flows.items():
            yield file, b"".join(struct.pack("<H", len(p)) + p for p in packets)
    elif name == "broadcast":
        vector = struct.pack("<H", 0b1011) + b"a" * 32 + b"b" * 32 + b"c" * 32 + b"s" * 64
        yield "vector", b"\0" + vector
        yield "relay", b"\1" + struct.pack("<H", 0b110) + 2 * vector + struct.pack("<H", 0b1) + b"r" * 64
    elif name == "certificates":
        for path in sorted((DATA / "channels").glob("*.pem")):
            yield path.name, b"\0" + path.read_bytes()
    elif name == "config":
        peers = "".join(f'[[threshold.peers]]\nparty_id = {i}\naddress = "h"\nport = {i}\nmpc_identity = "p{i}"\n'
                        f'tls_cert.path = "c"\n' for i in range(1, 5))
        yield "node.toml", ('[service]\nlisten_port = 9\n[public_vault.storage.file]\npath = "a"\n'
                            '[private_vault.storage.file]\npath = "a"\n[journal]\npath = "j"\n[threshold]\n'
                            'threshold = 1\nmy_id = 2\n[threshold.tls.manual]\ncert.path = "c"\nkey.path = "k"\n'
                            + peers).encode()
    elif name == "records":
        yield "extra", bytes([6]) + bytes.fromhex(json.loads((DATA / "service/extra_data.json").read_text())[3]["bytes"])
    for path in sorted((TREE / "made" / name).glob("*")):
        yield path.name, path.read_bytes()


# The readers that each target is there for: a file, and the functions of it that read (all, where none are named).
READERS = {
    "objects": {"src/tfhe_rs/archive.h": "", "src/tfhe_rs/serde.h": "ReadArchive", "src/tfhe_rs/serde_key.h": "ReadArchive",
                "src/tfhe_rs/serde_ciphertext.h": "ReadArchive", "src/tfhe_rs/serde_client_key.h": "ReadArchive",
                "src/tfhe_rs/objects.cc": "read_", "src/tfhe_rs/inspect.cc": ""},
    "ciphertexts": {"src/tfhe_rs/ciphertexts.cc": "parse_", "src/node/validation.cc": "parse_ciphertext"},
    "requests": {"src/api/codec.cc": "", "src/api/wire_shape.cc": "", "src/node/validation.cc": "validate_|warn_"},
    "packets": {"src/transport/wire.cc": "Incoming|read_|content_of|hello_of|process_of",
                "src/transport/lane.cc": "Reassembler|greet|accept_start|take_|charge|arrived|acknowledge|forget|begin"},
    "broadcast": {"src/mpc/broadcast_messages.cc": "read|decode|at"},
    "certificates": {"src/crypto/x509.cc": "parse|identity|dns_names|common_name|verify_chain|check_party_ca|certificate_der|"
                                           "not_after|check_key_pair"},
    "config": {"src/node/config.cc": ""},
    "material": {"src/node/material.cc": "read_index|read_piece|open_now|MaterialFile::get|add|remove|check_whole"},
    "peer": {"src/mpc/broadcast_messages.cc": "decode|read", "src/mpc/common_start.cc": "decode|take_go|CommonStart::start",
             "src/mpc/vss_rounds.cc": "", "src/mpc/resolution.cc": "", "src/mpc/disputes.cc": "", "src/mpc/calls.cc": "take",
             "src/mpc/detected_opening_impl.h": "read|exclude|fetch|judge|settle", "src/protocols/attempts.cc": "decode|agree|gather"},
    "records": {"src/node/key_store.cc": "decode|load|check_public|KeyStore::shares", "src/node/epochs.cc": "load",
                "src/node/request_store.cc": "RequestStore::(decode|load|result|list)", "src/protocols/key_shares.cc": "decode",
                "src/protocols/decrypt.cc": "SessionRecord::decode", "src/mpc/epoch_keys.cc": "decode",
                "src/crypto/extra_data.cc": "", "src/crypto/ecdsa.cc": "parse_stored|safe_deserialize|SigningKey::parse"},
    "journal": {"src/store/journal/journal_file.cc": "find_or_create|check_|connect|examine|open_journal_file|about",
                "src/store/journal/record_check.cc": ""},
}


def covered_lines(program, profile, file, functions):
    """Lines of the functions of a file whose name matches, and how many of them ran."""
    report = subprocess.run(["llvm-cov-19", "report", "--show-functions", "-Xdemangler=c++filt", f"--instr-profile={profile}",
                             str(program), str(ROOT / file)], check=True, stdout=subprocess.PIPE, text=True).stdout
    total = missed = 0
    row = re.compile(r"^(.*?)\s+(\d+)\s+(\d+)\s+[\d.]+%\s+(\d+)\s+(\d+)\s+[\d.]+%")
    for line in report.splitlines():
        found = row.match(line)
        if found and found[1] != "TOTAL" and re.search(functions, found[1]):
            total, missed = total + int(found[4]), missed + int(found[5])
    return total - missed, total


def line_coverage(only):
    """Lines of each reader that the kept inputs of its target reach."""
    tree = ROOT / "build/fuzz-coverage"
    if not (tree / "build.ninja").exists():
        subprocess.run(["cmake", "--preset", "fuzz-coverage"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", str(tree), "--quiet", "fuzzers"], cwd=ROOT, check=True)
    for name, files in READERS.items():
        if only and only not in name:
            continue
        program, raw, merged = tree / f"witan_fuzz_{name}", tree / f"{name}.profraw", tree / f"{name}.profdata"
        folders = [str(f) for f in (TREE / "corpus" / name, TREE / "seeds" / name) if f.is_dir()]
        if not folders:
            sys.exit(f"there are no inputs of {name}; run scripts/fuzz.py first")
        subprocess.run([str(program), "-runs=0", *folders], check=True, env=dict(os.environ, LLVM_PROFILE_FILE=str(raw)),
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        subprocess.run(["llvm-profdata-19", "merge", "-o", str(merged), str(raw)], check=True)
        parts = []
        for file, functions in files.items():
            covered, total = covered_lines(program, merged, file, functions)
            if total == 0:
                sys.exit(f"no function of {file} matches '{functions}'")
            parts.append(f"{file} {covered}/{total} ({100 * covered / total:.0f} %)")
        print(f"{name}: " + ", ".join(parts), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=20, help="for each target")
    parser.add_argument("--only", help="targets whose name contains this")
    parser.add_argument("--coverage", action="store_true", help="no fuzzing: lines of the readers that the kept inputs reach")
    arguments = parser.parse_args()
    if arguments.coverage:
        return line_coverage(arguments.only)
    if not (TREE / "build.ninja").exists():
        subprocess.run(["cmake", "--preset", "fuzz"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", str(TREE), "--quiet", "fuzzers"], cwd=ROOT, check=True)
    shutil.rmtree(TREE / "made", ignore_errors=True)
    subprocess.run([str(TREE / "witan_seeds"), str(TREE / "made")], check=True)
    failed = passed = 0
    for program in sorted(TREE.glob("witan_fuzz_*")):
        name = program.name.removeprefix("witan_fuzz_")
        if arguments.only and arguments.only not in name:
            continue
        seed_folder, corpus = TREE / "seeds" / name, TREE / "corpus" / name
        shutil.rmtree(seed_folder, ignore_errors=True)
        seed_folder.mkdir(parents=True)
        corpus.mkdir(parents=True, exist_ok=True)
        for file, content in seeds(name):
            (seed_folder / file).write_bytes(content)
        start = time.monotonic()
        done = subprocess.run([str(program), f"-max_total_time={arguments.seconds}", "-rss_limit_mb=4096", "-timeout=20",
                               f"-max_len={MAX_LEN.get(name, 4096)}", f"-artifact_prefix={TREE}/crash-{name}-",
                               "-print_final_stats=1", str(corpus), str(seed_folder)],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        runs = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stdout)
        coverage = re.findall(r"cov: (\d+)", done.stdout)
        good = done.returncode == 0 and runs is not None
        passed, failed = passed + good, failed + (not good)
        print(f"{'ok  ' if good else 'FAIL'} fuzz {name}: {runs[1] if runs else 'no'} runs, "
              f"{coverage[-1] if coverage else 'no'} edges, {time.monotonic() - start:.0f} s", flush=True)
        if not good:
            print(done.stdout[-6000:], flush=True)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
