#!/usr/bin/env python3
"""tfhe-rs judges our keys, ciphertexts and values over a committee of four; ends with "interop: N checks passed, N failed"."""
import argparse
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
CRATE = ROOT / "tests/interop/tfhe_rs"
TARGET = ROOT / "build/interop"
JUDGE = TARGET / "release/witan-interop"
WITAN = ROOT / "build/release/bin/witan"
STEP_TIMEOUT_S = 3600

BITS = {"bool": 1, "u8": 8, "u16": 16, "u32": 32, "u64": 64, "u128": 128, "u160": 160, "u256": 256}
PROVEN = ("bool", "u8", "u64", "u160")  # 16 ciphertexts a proof: more than one proof
DRAWN = ("u64",) * 16
SMALL_BLOCKS = 1024  # in one request of a Small format
FORMATS = ("small-expanded", "small-compressed", "big-expanded", "big-compressed")
OPERATIONS = {
    "and": lambda a, b: a & b, "xor": lambda a, b: a ^ b, "add": lambda a, b: a + b, "mul": lambda a, b: a * b,
    "rerandomize": lambda a: a, "eq": lambda a, b: int(a == b), "lt": lambda a, b: int(a < b), "select": lambda which, a, b: a if which else b,
}


class Broken(Exception):
    """A step that the rest needs has failed."""


class Checks:
    def __init__(self):
        self.passed = self.failed = 0

    def note(self, good, what, seconds=None, details=()):
        self.passed, self.failed = self.passed + int(good), self.failed + int(not good)
        duration = "" if seconds is None else f" ({seconds:.1f} s)"
        print(f"{'ok  ' if good else 'FAIL'} {what}{duration}", flush=True)
        for line in details:
            print(f"       {line}", flush=True)

    def compare(self, what, expected, found, seconds=None):
        """Two maps from a name to a value; what differs is shown with its name."""
        details = [f"{name}: expected {shown(value)}, found {shown(found.get(name))}" for name, value in expected.items()
                   if found.get(name) != value]
        self.note(not details and bool(expected), f"{what}: {len(expected) - len(details)} of {len(expected)} as expected",
                  seconds, details)


def shown(value):
    return f"0x{value:x}" if isinstance(value, int) else str(value)


def run(command, **options):
    """Standard output and seconds of a program that must succeed."""
    begun = time.monotonic()
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=STEP_TIMEOUT_S, stdin=subprocess.DEVNULL, **options)
    if done.returncode != 0:
        name = f"{pathlib.Path(command[0]).name} {command[1]}"
        raise Broken(f"{name} ended with {done.returncode}: {done.stderr[-3000:].strip()}")
    return done.stdout, time.monotonic() - begun


def build():
    begun = time.monotonic()
    command = ["cargo", "build", "--release", "--locked", "--quiet", "--manifest-path", str(CRATE / "Cargo.toml")]
    if subprocess.run(command, env=dict(os.environ, CARGO_TARGET_DIR=str(TARGET))).returncode != 0:
        raise Broken("cargo build failed")
    print(f"tfhe-rs built in {time.monotonic() - begun:.0f} s", flush=True)


class Plan:
    """Values, what is computed with them, and every result in the clear."""

    def __init__(self, kinds, dice, proven=()):
        self.lines, self.kinds, self.values, self.inputs, self.randoms = [], {}, {}, [], []
        for kind in kinds:
            for letter in "ab":
                self._value("input", f"{kind}_{letter}", kind, dice)
                self.inputs.append(f"{kind}_{letter}")
        for kind in proven:
            self._value("proven", f"{kind}_proven", kind, dice)

    def _value(self, list_name, name, kind, dice):
        self.kinds[name], self.values[name] = kind, dice.getrandbits(BITS[kind])
        self.lines.append(f"{list_name} {name} {kind} 0x{self.values[name]:x}")

    def draw(self, kinds):
        """Values that the OPRF key makes of seeds, which are the same for equal calls. Nobody knows them."""
        for number, kind in enumerate(kinds):
            name = f"{kind}_random_{number}"
            self.kinds[name] = kind
            self.randoms.append(name)
            self.lines.append(f"random {name} {kind} seed-{number}")

    def compute(self, name, operation, *operands):
        kind = "bool" if operation in ("eq", "lt") else self.kinds[operands[-1]]
        result = OPERATIONS[operation](*(self.values[operand] for operand in operands))
        self.kinds[name], self.values[name] = kind, result % (1 << BITS[kind])
        self.lines.append(" ".join(("compute", name, operation, *operands)))

    def compute_all(self, kinds):
        for kind in kinds:
            a, b = f"{kind}_a", f"{kind}_b"
            self.compute(f"{kind}_rerandomized", "rerandomize", a)
            if kind == "bool":
                self.compute("bool_and", "and", "bool_rerandomized", b)
                self.compute("bool_xor", "xor", a, b)
                self.compute("bool_select", "select", "bool_xor", a, b)
                continue
            self.compute(f"{kind}_sum", "add", f"{kind}_rerandomized", b)
            self.compute(f"{kind}_sum_rerandomized", "rerandomize", f"{kind}_sum")
            if BITS[kind] <= 64:
                self.compute(f"{kind}_product", "mul", a, b)
            self.compute(f"{kind}_equal", "eq", a, b)
            self.compute(f"{kind}_same", "eq", a, a)
            self.compute(f"{kind}_less", "lt", a, b)
            self.compute(f"{kind}_selected", "select", f"{kind}_less", a, b)

    def text(self, formats):
        return "\n".join([*self.lines, *(f"write {name}" for name in formats)]) + "\n"


class Committee:
    def __init__(self, folder, params):
        self.folder, self.params = folder, params
        _, self.seconds = run([WITAN, "committee", "up", "--dir", folder, "--test-nodes"])

    def down(self):
        subprocess.run([str(WITAN), "committee", "down", "--dir", str(self.folder)], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=120)

    def make(self, *extra):
        """A key that all parties make together, unless `extra` says otherwise."""
        text, seconds = run([WITAN, "keygen", "--dir", self.folder, "--params", self.params, "--timeout", "3600", "--json",
                             *extra])
        return json.loads(text)["key_id"], seconds

    def deal(self, client_key):
        return self.make("--dealt", "--import-client-key", client_key)

    def published(self, key):
        vault = self.folder / "party-1/vault/PUB-p1"
        return [vault / "PublicKey" / key, vault / "CompressedXofKeySet" / key]

    def decrypt(self, key, form, files):
        """`files`: map from a name to (file, kind); gives a map from the name to the value."""
        requests, room = [], 0
        for name, (_, kind) in files.items():
            blocks = (BITS[kind] + 1) // 2
            if blocks > room:
                requests.append([])
                room = SMALL_BLOCKS
            requests[-1].append(name)
            room -= blocks
        values, total = {}, 0
        for names in requests:
            kinds = [word for name in names for word in ("--type", witan_type(files[name][1]))]
            paths = [str(files[name][0]) for name in names]
            try:
                text, seconds = run([WITAN, "decrypt", "--dir", self.folder, "--key", key, "--json", "--format", form, "--timeout",
                                     "1200", *kinds, "--", *paths])
            except Broken as error:
                error.files = paths
                raise
            values.update((name, int(result["value"])) for name, result in zip(names, json.loads(text)["results"], strict=True))
            total += seconds
        return values, total


def witan_type(kind):
    return "address" if kind == "u160" else kind


def judge(checks, label, command, *arguments, quiet=False):
    """Runs tfhe-rs; its findings become checks as they come (of a quiet run only those that fail). Gives the other lines."""
    words, others = [str(word) for word in arguments], []
    with tempfile.TemporaryFile("w+") as errors:
        with subprocess.Popen([str(JUDGE), command, *words], stdout=subprocess.PIPE, stderr=errors, text=True,
                              stdin=subprocess.DEVNULL) as process:
            for line in process.stdout:
                kind, *fields = line.rstrip("\n").split("\t")
                good = fields[0] == "ok"
                if kind != "check":
                    others.append((kind, *fields))
                elif not quiet or not good:
                    details = () if good else [f"of {' '.join(words)}"]
                    checks.note(good, f"{label}: {fields[1]}", float(fields[2]), details)
        errors.seek(0)
        if process.returncode != 0:
            call = f"tfhe-rs, {command} {' '.join(words)}, ended with {process.returncode}"
            raise Broken(f"{label}: {call}: {errors.read()[-3000:].strip()}")
    return others


def evaluate(checks, label, params, keys, plan, formats, folder, quiet=False, command="evaluate"):
    folder.mkdir()
    (folder / "plan").write_text(plan.text(formats))
    judge(checks, label, command, params, *keys, folder / "plan", folder, quiet=quiet)


def decrypt_all(checks, label, committee, key, plan, formats, folder):
    """Gives what the committee found for values that the plan does not know, by name."""
    unknown = {}
    for form in formats:
        files = {name: (folder / f"{name}.{form}.bin", kind) for name, kind in plan.kinds.items()}
        begun = time.monotonic()
        try:
            found, seconds = committee.decrypt(key, form, files)
        except Broken as error:  # the nodes count the ciphertexts of a request
            paths = getattr(error, "files", [])
            numbers = sorted({int(number) for number in re.findall(r"ciphertext (\d+)", str(error))})
            checks.note(False, f"{label}, {form}, decrypted by the committee: {error}", time.monotonic() - begun,
                        [f"ciphertext {number} is {paths[number]}" for number in numbers if number < len(paths)])
            continue
        expected = {str(files[name][0]): value for name, value in plan.values.items()}
        values = {str(files[name][0]): value for name, value in found.items()}
        if expected:
            checks.compare(f"{label}, {form}, decrypted by the committee", expected, values, seconds)
        drawn = {name: values.get(str(files[name][0])) for name in plan.randoms}
        if unknown:
            checks.compare(f"{label}, {form}, values of the OPRF key are those of {formats[0]}", unknown, drawn)
        else:
            unknown = drawn
    return unknown


def check_randomness(checks, label, plan, drawn):
    """Bits and two-bit blocks of many values are uniform: five standard deviations, and a chi-square of 3 degrees of freedom."""
    bits = blocks = ones = 0
    counts = [0, 0, 0, 0]
    for name, value in drawn.items():
        length = BITS[plan.kinds[name]]
        bits, ones = bits + length, ones + value.bit_count()
        for place in range(0, length - 1, 2):
            counts[value >> place & 3] += 1
            blocks += 1
    chi_square = sum((count - blocks / 4) ** 2 / (blocks / 4) for count in counts)
    distinct = len({value for name, value in drawn.items() if plan.kinds[name] == "u64"})
    good = bits >= 1000 and abs(ones - bits / 2) < 2.5 * bits ** 0.5 and chi_square < 35 and distinct == sum(
        plan.kinds[name] == "u64" for name in drawn)
    checks.note(good, f"{label}: {ones} of {bits} bits of the OPRF key are ones, chi-square of its blocks {chi_square:.1f}, "
                f"{distinct} different values of u64")


def open_all(checks, label, params, keys, client_key, files, folder):
    """`files`: list of (file, format, kind, value). tfhe-rs opens each; values and bytes written back are compared."""
    names = folder / "files"
    names.write_text("".join(f"{file}\t{form}\t{kind}\n" for file, form, kind, _ in files))
    begun = time.monotonic()
    lines = judge(checks, label, "open", params, *keys, client_key, names, quiet=True)
    checks.note(len(lines) == len(files), f"{label}: {len(lines)} of {len(files)} ciphertexts read by tfhe-rs",
                time.monotonic() - begun)
    values, again = {}, {}
    for kind, file, *rest in lines:
        values[file], again[file] = (int(rest[0], 16), rest[1]) if kind == "opened" else (f"refused: {rest[0]}",) * 2
    for form in FORMATS:
        chosen = [entry for entry in files if entry[1] == form]
        checks.compare(f"{label}, {form}, opened by tfhe-rs", {str(file): value for file, _, _, value in chosen}, values)
        checks.compare(f"{label}, {form}, written back by tfhe-rs", {str(file): "identical" for file, *_ in chosen}, again)


def own_key(checks, committee, params, kinds, formats, dice, folder):
    key, seconds = committee.make()
    checks.note(True, f"generated key: four nodes hold {key[:16]}..., parameters {params}", seconds)
    plan = Plan(kinds, dice, proven=[kind for kind in PROVEN if kind in kinds])
    plan.draw(DRAWN + kinds)
    plan.compute_all(kinds)
    evaluate(checks, "generated key", params, committee.published(key), plan, formats, folder)
    drawn = decrypt_all(checks, "generated key, made and computed by tfhe-rs", committee, key, plan, formats, folder)
    if params != "test":  # whose small key is one bit: if that is 0, each block of every draw is the same
        check_randomness(checks, "generated key", plan, drawn)
    return key, drawn


def same_secret_key(checks, committee, params, kinds, formats, dice, folder, key, drawn):
    """Another key set from the secret keys of a generated one: other evaluation keys and the same OPRF."""
    new, seconds = committee.make("--existing", key)
    checks.note(True, f"key set from existing keys: four nodes hold {new[:16]}...", seconds)
    label = "key set from existing keys"
    plan = Plan(kinds, dice)
    plan.draw(DRAWN + kinds)
    plan.compute_all(("bool", "u64"))
    evaluate(checks, label, params, committee.published(new), plan, formats, folder,
             command="evaluate-with-other-public-key")
    found = decrypt_all(checks, f"{label}, made and computed by tfhe-rs", committee, new, plan, formats, folder)
    checks.compare(f"{label}: values of the OPRF key are those of the first set", drawn, found)


def imported_key(checks, committee, params, kinds, formats, dice, folder):
    folder.mkdir()
    judge(checks, "imported key", "make-keys", params, f"{dice.getrandbits(128):032x}", folder)
    key, seconds = committee.deal(folder / "client_key.bin")
    checks.note(True, f"imported key: four nodes hold the client key of tfhe-rs as {key[:16]}...", seconds)

    theirs = folder / "theirs"
    plan = Plan(kinds, dice)
    plan.draw(DRAWN)
    plan.compute_all(("bool", "u64"))
    evaluate(checks, "imported key, key set of tfhe-rs", params, [folder / "public_key.bin", folder / "key_set.bin"], plan,
             formats, theirs, quiet=True)
    drawn = decrypt_all(checks, "imported key, made and computed with the key set of tfhe-rs", committee, key, plan, formats,
                        theirs)
    return key, drawn


def same_oprf(checks, committee, key, params, dice, folder, drawn):
    """The key set that the committee's dealer made of the client key, and that of tfhe-rs, make the same of a seed."""
    label, form = "imported key, key set of the committee", FORMATS[3:]
    plan = Plan(("u8",), dice)
    plan.draw(DRAWN)
    evaluate(checks, label, params, committee.published(key), plan, form, folder, quiet=True)
    found = decrypt_all(checks, label, committee, key, plan, form, folder)
    checks.compare(f"{label}: values of the OPRF key are those of the key set of tfhe-rs", drawn, found)


def our_ciphertexts(checks, committee, key, params, kinds, dice, folder):
    """What `witan encrypt` and `witan expand` write, opened with the client key that tfhe-rs made."""
    keys, client_key = committee.published(key), folder / "client_key.bin"
    ours = folder / "ours"
    plan = Plan(kinds, dice)
    evaluate(checks, "imported key, key set of the committee", params, keys, plan, (), ours)

    files, begun = [], time.monotonic()
    for form in FORMATS:
        for kind in kinds:
            file, value = ours / f"{kind}.{form}.bin", dice.getrandbits(BITS[kind])
            text = ("true" if value else "false") if kind == "bool" else f"{value}"
            run([WITAN, "encrypt", "--dir", committee.folder, "--key", key, "--type", witan_type(kind), "--value", text,
                 "--format", form, "--out", file])
            files.append((file, form, kind, value))
    checks.note(True, f"imported key: witan encrypt wrote {len(files)} ciphertexts", time.monotonic() - begun)
    open_all(checks, "witan encrypt", params, keys, client_key, files, ours)

    files, begun = [], time.monotonic()
    for form in FORMATS:
        text, _ = run([WITAN, "expand", "--dir", committee.folder, "--key", key, "--format", form, "--json", "--out-dir",
                       ours / form, ours / "list.bin"])
        for name, entry in zip(plan.inputs, json.loads(text)["files"], strict=True):
            files.append((entry["file"], form, plan.kinds[name], plan.values[name]))
    checks.note(True, f"imported key: witan expand wrote {len(files)} ciphertexts of a list of tfhe-rs",
                time.monotonic() - begun)
    open_all(checks, "witan expand", params, keys, client_key, files, ours)


def broken_objects(checks, committee, key, params, folder):
    """That the judge can say no."""
    folder.mkdir()
    public_key, key_set = committee.published(key)
    content = public_key.read_bytes()
    # Behind the bound of the noise: two moduli of 12 bytes, one of 28, expansion kind, proof scheme, tag of 32 bytes.
    noise = len(content) - (12 + 12 + 28 + 8 + 8 + 12 + 32) - 4
    for name, changed, answer in (
            ("short", content[:-1], ""),
            ("renamed", content.replace(b"::CompactPublicKey", b"::CompactPublicKez"), ""),
            ("noisier", content[:noise] + bytes([content[noise] + 1]) + content[noise + 1:], "public key is conformant")):
        begun, file = time.monotonic(), folder / name
        file.write_bytes(changed)
        done = subprocess.run([str(JUDGE), "check", params, str(file), str(key_set)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=STEP_TIMEOUT_S)
        refused = f"check\twrong\t{answer}" in done.stdout if answer else done.returncode == 1 and str(file) in done.stderr
        checks.note(refused, f"tfhe-rs refuses a {name} public key", time.monotonic() - begun,
                    () if refused else [str(file), *done.stdout.splitlines(), *done.stderr.splitlines()])


def with_a_two(client_key):
    """A client key whose encryption key, a list of 512 words that are bits, has an entry 2."""
    count, two = (512).to_bytes(8, "little"), (2).to_bytes(8, "little")
    at = client_key.find(count)
    while at >= 0:
        words = client_key[at + 8:at + 8 + 8 * 512]
        if len(words) == 8 * 512 and all(int.from_bytes(words[i:i + 8], "little") < 2 for i in range(0, len(words), 8)):
            return client_key[:at + 8] + two + client_key[at + 16:]
        at = client_key.find(count, at + 1)
    raise Broken("the client key has no list of 512 bits")


def broken_client_keys(checks, committee, client_key, folder):
    """What is no client key of the parameters is refused by the party that would deal it, with the reason."""
    folder.mkdir()
    content = client_key.read_bytes()
    others = ROOT / "tests/data/tfhe/native-1.7.0/default/client_key.bin"
    for name, changed, reason in (
            ("cut short", content[:-1000], "bytes are left"),
            ("with more behind it", content + b"x", "1 bytes follow"),
            ("of another name", content.replace(b"::ClientKey", b"::ClientKez"), "expected high_level_api::ClientKey"),
            ("that is no object", b"", "cut short"),
            ("with an entry that is no bit", with_a_two(content), "bit"),
            ("of other parameters", others.read_bytes(), "has other parameters than test")):
        begun, file = time.monotonic(), folder / name.replace(" ", "_")
        file.write_bytes(changed)
        try:
            key, _ = committee.deal(file)
            answer = f"key {key} was dealt"
        except Broken as error:
            answer = str(error)
        good = "party 1" in answer and reason in answer
        checks.note(good, f"a client key {name} is not imported", time.monotonic() - begun, () if good else [answer])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--params", choices=("test", "default"), default="test")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32), help="of all values")
    parser.add_argument("--keep", metavar="FOLDER", type=pathlib.Path, help="keeps all files in this new folder")
    arguments = parser.parse_args()
    print(f"values from --seed {arguments.seed}", flush=True)
    dice, checks = random.Random(arguments.seed), Checks()
    folder = arguments.keep.absolute() if arguments.keep else pathlib.Path(tempfile.mkdtemp(prefix="witan-interop-"))
    committee, begun = None, time.monotonic()
    test = arguments.params == "test"
    kinds, formats = (tuple(BITS), FORMATS) if test else (("bool", "u64"), FORMATS[2:])
    try:
        build()
        folder.mkdir(exist_ok=True)
        committee = Committee(folder / "committee", arguments.params)
        checks.note(True, "committee of four nodes is up", committee.seconds)
        own, drawn = own_key(checks, committee, arguments.params, kinds, formats, dice, folder / "own")
        if test:
            same_secret_key(checks, committee, arguments.params, kinds, formats, dice, folder / "existing", own, drawn)
        key, drawn = imported_key(checks, committee, arguments.params, kinds, formats, dice, folder / "imported")
        if test:
            same_oprf(checks, committee, key, arguments.params, dice, folder / "oprf", drawn)
            our_ciphertexts(checks, committee, key, arguments.params, kinds, dice, folder / "imported")
            broken_objects(checks, committee, key, arguments.params, folder / "broken")
            broken_client_keys(checks, committee, folder / "imported/client_key.bin", folder / "broken_client_keys")
    except (Broken, subprocess.TimeoutExpired, OSError) as error:
        checks.note(False, str(error), time.monotonic() - begun)
    finally:
        if committee:
            committee.down()
        if not arguments.keep and not checks.failed:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{time.monotonic() - begun:.0f} s in all" + (f", files in {folder}" if folder.exists() else ""))
    print(f"interop: {checks.passed} checks passed, {checks.failed} failed")
    sys.exit(1 if checks.failed or not checks.passed else 0)


if __name__ == "__main__":
    main()
