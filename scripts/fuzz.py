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
MAX_LEN = {"objects": 65536, "ciphertexts": 65536, "journal": 65536}

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
        hello = field(1, field(1, 1) + field(2, bytes(32)) + field(3, 1) + field(4, bytes(16)) + field(8, 1 << 20))
        start = field(2, field(1, 1))
        piece = field(3, field(1, 1) + field(3, bytes(16)) + field(4, 1) + field(5, 3) + field(7, b"abc"))
        empty = field(3, field(1, 2) + field(2, 1) + field(3, bytes(16)) + field(4, 1))
        beat = field(5, field(1, 1) + field(2, 1) + field(3, 1))
        grant = field(4, field(1, 100) + field(2, 1))
        packets = [hello, start, piece, empty, beat, grant]
        for number, packet in enumerate(packets):
            yield str(number), struct.pack("<H", len(packet)) + packet
        yield "all", b"".join(struct.pack("<H", len(p)) + p for p in packets)
    elif name == "certificates":
        for path in sorted((DATA / "channels").glob("*.pem")):
            yield path.name, path.read_bytes()
    elif name == "config":
        peers = "".join(f'[[threshold.peers]]\nparty_id = {i}\naddress = "h"\nport = {i}\nmpc_identity = "p{i}"\n'
                        f'tls_cert.path = "c"\n' for i in range(1, 5))
        yield "node.toml", ('[service]\nlisten_port = 9\n[public_vault.storage.file]\npath = "a"\n'
                            '[private_vault.storage.file]\npath = "a"\n[journal]\npath = "j"\n[threshold]\n'
                            'threshold = 1\nmy_id = 2\n[threshold.tls.manual]\ncert.path = "c"\nkey.path = "k"\n'
                            + peers).encode()
    elif name == "records":
        for kind in range(7):
            yield f"empty-{kind}", bytes([kind]) + bytes(100)
        yield "extra", bytes([6]) + bytes.fromhex(json.loads((DATA / "service/extra_data.json").read_text())[3]["bytes"])
    elif name == "journal":
        file = TREE / "seed.db"
        file.unlink(missing_ok=True)
        sql = ("PRAGMA application_id=1465142858; PRAGMA user_version=1; CREATE TABLE record(table_name TEXT NOT NULL, "
               "key BLOB NOT NULL, value BLOB NOT NULL, crc32c INTEGER NOT NULL, PRIMARY KEY(table_name, key)) STRICT, WITHOUT ROWID;")
        subprocess.run(["sqlite3", str(file), sql], check=True)
        yield "journal.db", file.read_bytes()


# The readers that each target is there for.
READERS = {
    "objects": ["src/tfhe_rs/archive.h", "src/tfhe_rs/serde.h", "src/tfhe_rs/serde_key.h", "src/tfhe_rs/serde_client_key.h",
                "src/tfhe_rs/objects.cc", "src/tfhe_rs/inspect.cc"],
    "ciphertexts": ["src/tfhe_rs/ciphertexts.cc", "src/tfhe_rs/serde_ciphertext.h"],
    "requests": ["src/api/codec.cc", "src/api/wire_shape.cc"],
    "packets": ["src/transport/wire.cc", "src/transport/lane.cc", "src/transport/stream.cc"],
    "certificates": ["src/crypto/x509.cc"],
    "config": ["src/node/config.cc"],
    "records": ["src/node/key_store.cc", "src/node/request_store.cc", "src/protocols/key_shares.cc", "src/crypto/extra_data.cc"],
    "journal": ["src/store/journal/journal_file.cc", "src/store/journal/record_check.cc"],
}


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
        report = subprocess.run(["llvm-cov-19", "export", "--summary-only", f"--instr-profile={merged}", str(program),
                                 *[str(ROOT / f) for f in files]], check=True, stdout=subprocess.PIPE, text=True).stdout
        parts = []
        for entry in json.loads(report)["data"][0]["files"]:
            lines = entry["summary"]["lines"]
            parts.append(f"{pathlib.Path(entry['filename']).relative_to(ROOT)} {lines['covered']}/{lines['count']} "
                         f"({lines['percent']:.0f} %)")
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
