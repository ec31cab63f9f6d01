#!/usr/bin/env python3
"""A committee decrypts; ethers and the published KMSVerifier contract on anvil judge its signatures (tests/chain)."""
import json
import pathlib
import subprocess
import sys
import tempfile

from committee import ROOT, committee, dealt_key, witan

DOMAIN = {"name": "Decryption", "version": "1", "chain_id": "54321",
          "verifying_contract": "0x5ffdaAB0373E62E2ea2944776209aEf29E631A64"}
VALUES = [("bool", "true"), ("u8", "165"), ("u64", "18446744073709551615"), ("u128", str(2**127 + 3)),
          ("address", "0x8b1bdf314041b5008fabd540c77e7e69e92faa35"), ("u256", str(2**255 + 11))]


def main():
    with tempfile.TemporaryDirectory(prefix="witan-chain-") as temporary:
        folder = pathlib.Path(temporary)
        domain = folder / "domain.json"
        domain.write_text(json.dumps(DOMAIN))
        with committee(folder / "committee", "--test-nodes") as nodes:
            key = dealt_key(nodes)
            files = []
            for type_name, value in VALUES:
                files.append(folder / f"{type_name}.ct")
                witan("encrypt", "--dir", nodes, "--key", key, "--type", type_name, "--value", value, "--out", files[-1])
            responses = []
            for name, chosen, extra in (("one", [2], ""), ("all", range(len(VALUES)), ""), ("marked", [0, 5], "00"),
                                        ("versioned", [1, 4], "01" + "07" + "00" * 30 + "01")):
                responses.append(folder / f"{name}.json")
                types = [part for i in chosen for part in ("--type", VALUES[i][0])]
                witan("decrypt", "--dir", nodes, "--key", key, *types, *[files[i] for i in chosen], "--domain", domain,
                      "--out", responses[-1], *(["--extra-data", extra] if extra else []))
        sys.exit(subprocess.run(["node", ROOT / "tests/chain/verify.mjs", *responses]).returncode)


if __name__ == "__main__":
    main()
