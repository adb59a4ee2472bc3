#!/usr/bin/env python3
"""Writes the requests of tests/golden/exchanges.tsv, one file each, into a corpus folder: what a fuzzer starts from.

    seeds.py FOLDER
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(HERE, "..", "golden", "exchanges.tsv")) as lines:
        for line in lines:
            if not line.startswith("#"):
                case, request, _ = line.rstrip("\n").split("\t")
                with open(os.path.join(folder, case), "wb") as out:
                    out.write(bytes.fromhex(request))


if __name__ == "__main__":
    main()
