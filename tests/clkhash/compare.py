"""Random linkage schemas and rows: clkhash and Hedui must write the same bytes, and refuse the same.

A case is one schema and a file of rows. Where clkhash refuses a file, each of its rows is tried alone in both.
"""

import argparse
import base64
import csv
import io
import json
import os
import random
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

from clkhash.bloomfilter import stream_bloom_filters
from clkhash.key_derivation import generate_key_lists
from clkhash.schema import from_json_dict
from clkhash.serialization import serialize_bitarray
from clkhash.validate_data import validate_entries, validate_row_lengths

warnings.simplefilter("ignore")

LETTERS = ["abcdefgh", "ABCXYZ", "äöüßéñ", "ÀÉÎØ", "张伟李娜欧阳龘", "абвгд", "'- .", "0123456789", "😀𠮷", "ǅﬁİı"]


def text(rng):
    letters = "".join(rng.sample(LETTERS, rng.randint(1, 3)))
    return "".join(rng.choice(letters) for _ in range(rng.choice([0, 1, 1, 2, 3, 5, 8, 13, 30])))


def number(rng):
    plain = str(rng.choice([0, 7, -3, 12, 1999, 10**9, -(10**30), 2**53 + 1, rng.randint(-10**6, 10**6)]))
    return rng.choice([
        plain, plain, plain, " " + plain, "+" + plain.lstrip("-"), plain + "\t", "1_000", "٣٤", "１２", "007", "-0",
        "1.5", "-2.25", ".5", "5.", "1e3", "1E-2", "inf", "nan", "", "12a", "_1", "0x10", "²", "1__0", "--1",
        str(rng.uniform(-1000, 1000)), "3.14159265358979", "0.5", "1.5", "2.5",
    ])


DATES = ["%Y-%m-%d", "%d/%m/%Y", "%d/%m/%y", "%Y%m%d", "%d %b %Y", "%B %d, %Y", "%m-%Y", "%Y", "%H:%M %d.%m.%Y", "%a %d %b %y", "%Y %j"]


def date(rng, form):
    from datetime import datetime, timedelta
    day = datetime(1900, 1, 1) + timedelta(days=rng.randint(0, 60000))
    written = day.strftime(form)
    return rng.choice([
        written, written, written, written.lower(), written.upper(), " " + written, written + " ", written.replace("0", "", 1),
        written.replace("1", "١", 1), written.replace(" ", "  "), "2001-02-30", "1999-13-01", "0000-01-01", "0001-01-01", "", "2000-2-9", "29022001",
    ])


def comparison(rng, numeric):
    if numeric and rng.random() < 0.6:
        described = {"type": "numeric", "thresholdDistance": rng.choice([1, 5, 0.5, 2.25, 100, 0.004, 1e9]), "resolution": rng.randint(1, 6)}
        if rng.random() < 0.6:
            described["fractional_precision"] = rng.choice([0, 1, 2, 3, 6])
        return described
    if rng.random() < 0.25:
        return {"type": "exact"}
    described = {"type": "ngram", "n": rng.randint(1, 4)}
    if rng.random() < 0.6:
        described["positional"] = rng.random() < 0.5
    return described


def feature(rng, version, at):
    name = f"f{at}"
    if rng.random() < 0.12:
        return {"identifier": name, "ignored": True}, text
    kind = rng.choice(["string", "string", "string", "pattern", "integer", "date", "enum"])
    cells = text
    if kind == "string":
        described = {"type": "string"}
        if rng.random() < 0.6:
            described["encoding"] = rng.choice(["ascii", "utf-8", "utf-16", "utf-32"])
        if rng.random() < 0.3:
            described["case"] = rng.choice(["upper", "lower", "mixed"])
        if rng.random() < 0.3:
            described["minLength"] = rng.randint(0, 2)
        if rng.random() < 0.3:
            described["maxLength"] = rng.choice([5, 20, 20.0])
        if rng.random() < 0.3:
            cells = number
    elif kind == "pattern":
        described = {"type": "string", "pattern": rng.choice(["[a-h]*", r"\w*", r"\d+", ".{0,5}", r"(?!x).*", "a|ab|abc", r"[^\s]*"])}
        cells = rng.choice([text, number])
    elif kind == "integer":
        described = {"type": "integer"}
        if rng.random() < 0.4:
            described["minimum"] = rng.choice([-10, 0, 5.0])
        if rng.random() < 0.4:
            described["maximum"] = rng.choice([100, 10**6, 10**12])
        cells = number
    elif kind == "date":
        form = rng.choice(DATES)
        described = {"type": "date", "format": form}
        cells = lambda rng: date(rng, form)
    else:
        values = [text(rng) for _ in range(4)]
        described = {"type": "enum", "values": values}
        cells = lambda rng: rng.choice(values + ["other"])
    hashing = {}
    if rng.random() < 0.4:
        hashing["missingValue"] = {"sentinel": rng.choice(["", "N/A", "0", "7"])}
        if rng.random() < 0.6:
            hashing["missingValue"]["replaceWith"] = rng.choice(["", "none", "é", "1"])
        if rng.random() < 0.4:
            usual, sentinel = cells, hashing["missingValue"]["sentinel"]
            cells = lambda rng: sentinel if rng.random() < 0.3 else usual(rng)
    double = {"type": "doubleHash"}
    if rng.random() < 0.5:
        double["prevent_singularity"] = rng.random() < 0.7
    if version == 1:
        hashing |= {"ngram": rng.randint(1, 3)}
        if rng.random() < 0.5:
            hashing["weight"] = rng.choice([0, 0.3, 0.25, 1, 1.5, 2.5])
        if rng.random() < 0.4:
            hashing["positional"] = rng.random() < 0.5
    elif version == 2:
        hashing |= {"ngram": rng.randint(1, 3), "strategy": rng.choice([{"k": rng.randint(1, 70)}, {"numBits": rng.randint(1, 300)}])}
        if rng.random() < 0.4:
            hashing["positional"] = rng.random() < 0.5
    else:
        strategy = rng.choice([{"bitsPerToken": rng.choice([1, 10, 32, 33, 65, 20.0])}, {"bitsPerFeature": rng.choice([1, 7, 100, 300])}])
        hashing |= {"comparison": comparison(rng, cells is number), "strategy": strategy}
    if version > 1 and rng.random() < 0.6:
        hashing["hash"] = rng.choice([{"type": "blakeHash"}, double])
    return {"identifier": name, "format": described, "hashing": hashing}, cells


def schema(rng):
    version = rng.choice([1, 2, 3, 3, 3])
    kdf = {"type": "HKDF"}
    for name in ("salt", "info"):
        if rng.random() < 0.5:
            kdf[name] = base64.b64encode(rng.randbytes(rng.choice([0, 3, 16, 80]))).decode()
    if rng.random() < 0.6:
        kdf["hash"] = rng.choice(["SHA256", "SHA512"])
    if rng.random() < 0.6:
        kdf["keySize"] = rng.choice([16, 32, 64])
    config = {"l": rng.choice([64, 128, 1024, 1024, 2048]), "kdf": kdf}
    if rng.random() < 0.3:
        config["xor_folds"] = rng.choice([0, 1, 2])
    features, cells = zip(*(feature(rng, version, at) for at in range(rng.randint(1, 7))))
    features = list(features)
    if version == 1:
        config["k"] = rng.choice([1, 10, 30])
        config["hash"] = rng.choice([{"type": "blakeHash"}, {"type": "doubleHash"}, {"type": "doubleHash", "prevent_singularity": True}])
    double = version == 1 and config["hash"]["type"] == "doubleHash" or all(
        feature.get("hashing", {}).get("hash", {}).get("type") == "doubleHash" for feature in features if "hashing" in feature)
    if double and rng.random() < 0.5:
        config["l"] = rng.choice([64, 100, 1000])
        config["xor_folds"] = rng.choice([0, 1, 2])
    described = {"version": version, "clkConfig": config, "features": features}
    if rng.random() < 0.2:
        spoil(rng, described)
    return described, cells


def spoil(rng, described):
    """One change that clkhash may refuse."""
    config, feature = described["clkConfig"], rng.choice(described["features"])
    hashing = feature.get("hashing", {})
    rng.choice([
        lambda: config.update(l=rng.choice([0, 1000, 1024.0, "1024", -8])),
        lambda: config.update(xor_folds=rng.choice([11, 1.0])),
        lambda: config.update(xorFolds=rng.choice([1, -1, "x"])),
        lambda: config["kdf"].update(type="scrypt"),
        lambda: config["kdf"].update(hash="MD5"),
        lambda: config["kdf"].update(keySize=rng.choice([0, 65, 100000])),
        lambda: config["kdf"].update(salt="a"),
        lambda: config.pop("kdf"),
        lambda: feature.pop("identifier"),
        lambda: feature.update(ignored=rng.choice([True, False, "yes"])),
        lambda: feature.update(more="x"),
        lambda: feature.get("format", {}).update(more="x"),
        lambda: feature.get("format", {}).update(type="text"),
        lambda: hashing.update(more="x"),
        lambda: hashing.update(hash={"type": "blakeHash", "prevent_singularity": True}),
        lambda: hashing.update(missingValue={"replaceWith": "x"}),
        lambda: hashing.pop("strategy", None),
        lambda: hashing.get("strategy", {}).update(k=5),
        lambda: hashing.get("strategy", {}).update(bitsPerFeature=0),
        lambda: hashing.get("comparison", {}).update(n=rng.choice([0, 2.0, "2"])),
        lambda: hashing.get("comparison", {}).update(positional="yes"),
        lambda: hashing.get("comparison", {}).update(resolution=0),
        lambda: described.update(version=rng.choice([0, 4, "3", 3.0])),
        lambda: described.update(features={}),
    ])()


def clkhash(described, secret, rows):
    """The CLKs in base64, or why not."""
    try:
        read = from_json_dict(json.loads(json.dumps(described)))
        keys = generate_key_lists(secret, len(read.fields), key_size=read.kdf_key_size, salt=read.kdf_salt,
                                  info=read.kdf_info, kdf=read.kdf_type, hash_algo=read.kdf_hash)
        validate_row_lengths(read.fields, rows)
        validate_entries(read.fields, rows)
        return [serialize_bitarray(clk) for clk, _, _ in stream_bloom_filters(rows, keys, read)], None
    except Exception as e:  # whatever it stumbles over, it writes nothing
        return None, f"{type(e).__name__}: {e}"


def hedui(program, folder, described, secret, rows):
    (folder / "schema.json").write_text(json.dumps(described))
    (folder / "secret").write_bytes(secret)
    os.chmod(folder / "secret", 0o600)
    names = [feature.get("identifier", "x") for feature in described["features"]] or ["x"]
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow(names)
    writer.writerows(rows)
    (folder / "data.csv").write_text(out.getvalue(), newline="")
    result = folder / "clks.json"
    result.unlink(missing_ok=True)
    ran = subprocess.run([program, "clk", "encode", folder / "data.csv", folder / "schema.json", "--secret-file", folder / "secret",
                          "--out", result, "--encoding", "utf-8"], capture_output=True, text=True)
    if ran.returncode == 0:
        return json.loads(result.read_text())["clks"], None
    assert ran.returncode == 1 and "error: " in ran.stderr, ran.stderr
    return None, ran.stderr


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hedui", required=True)
    parser.add_argument("--schemas", type=int, default=300)
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    counts = {"schemas": 0, "refused schemas": 0, "rows": 0, "refused rows": 0}
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for case in range(arguments.schemas):
            described, cells = schema(rng)
            secret = rng.choice([b"secret", "密钥 secret".encode(), rng.randbytes(32), b"a" * 200])
            rows = [[make(rng) for make in cells] for _ in range(arguments.rows)]
            counts["schemas"] += 1
            if not isinstance(described["features"], list):
                described["features"] = []
            usable = [row for row in rows if clkhash(described, secret, [row])[0] is not None]
            refused = [row for row in rows if row not in usable]
            if not usable:
                counts["refused schemas"] += 1
            for batch in [usable] * bool(usable) + [[row] for row in refused[:8]]:
                ours, why = hedui(arguments.hedui, folder, described, secret, batch)
                theirs, because = clkhash(described, secret, batch)
                counts["rows"] += len(batch)
                counts["refused rows"] += theirs is None
                if ours != theirs:
                    at = next((at for at, pair in enumerate(zip(ours, theirs)) if pair[0] != pair[1]), None) if ours and theirs else 0
                    wrong.append(case)
                    print(f"case {case}: differs", json.dumps(described, ensure_ascii=False), batch[at or 0], "clkhash:", because, "hedui:", why, sep="\n  ")
                    break
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    sys.exit(f"{len(wrong)} cases differ" if wrong else 0)


main()
