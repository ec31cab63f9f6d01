#!/usr/bin/env python3
"""A committee decrypts; ethers and the published KMSVerifier contract on anvil judge its signatures (tests/chain)."""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
WITAN = str(ROOT / "build/release/bin/witan")
DOMAIN = {"name": "Decryption", "version": "1", "chain_id": "54321",
          "verifying_contract": "0x5ffdaAB0373E62E2ea2944776209aEf29E631A64"}
VALUES = [("bool", "true"), ("u8", "165"), ("u64", "18446744073709551615"), ("u128", str(2**127 + 3)),
          ("address", "0x8b1bdf314041b5008fabd540c77e7e69e92faa35"), ("u256", str(2**255 + 11))]


def witan(*arguments):
    done = subprocess.run([WITAN, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"witan {' '.join(arguments)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def main():
    with tempfile.TemporaryDirectory(prefix="witan-chain-") as temporary:
        folder = pathlib.Path(temporary)
        committee = str(folder / "committee")
        domain = folder / "domain.json"
        domain.write_text(json.dumps(DOMAIN))
        try:
            witan("committee", "up", "--dir", committee, "--test-nodes")
            key = re.search(r"[0-9a-f]{64}", witan("keygen", "--dir", committee, "--dealt"))[0]
            files = []
            for type_name, value in VALUES:
                file = str(folder / f"{type_name}.ct")
                witan("encrypt", "--dir", committee, "--key", key, "--type", type_name, "--value", value, "--out", file)
                files.append(file)
            responses = []
            for name, chosen, extra in (("one", [2], ""), ("all", range(len(VALUES)), ""), ("marked", [0, 5], "00"),
                                        ("versioned", [1, 4], "01" + "07" + "00" * 30 + "01")):
                response = str(folder / f"{name}.json")
                types = [part for i in chosen for part in ("--type", VALUES[i][0])]
                witan("decrypt", "--dir", committee, "--key", key, *types, *[files[i] for i in chosen], "--domain",
                      str(domain), "--out", response, *(["--extra-data", extra] if extra else []))
                responses.append(response)
        finally:
            subprocess.run([WITAN, "committee", "down", "--dir", committee], capture_output=True)
        sys.exit(subprocess.run(["node", str(ROOT / "tests/chain/verify.mjs"), *responses]).returncode)


if __name__ == "__main__":
    main()
