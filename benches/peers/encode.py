"""Times `hedui clk encode` and clkhash on the same rows, one core each, and checks that they make the same CLKs.

Rows are FEBRL data set 4's, as they are; 50,000 put together of their values; and the same with two letters changed in each
value, so that few repeat. Hedui's time is the whole command, from the CSV file to the JSON file; clkhash's is
`generate_clks` on rows in memory, in a process of its own, for it remembers what it has seen. The runs take turns.
"""

import argparse
import csv
import json
import multiprocessing
import os
import random
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "protocol/vectors/clk/febrl-blake.schema.json"
SECRET = "horse staple"
MADE = 50_000


def febrl():
    with open(ROOT / "tests/data/febrl4/a.csv", newline="") as lines:
        return list(csv.reader(lines))


def resampled(rows, rng):
    columns = list(zip(*rows))
    return [[str(number)] + [rng.choice(column) for column in columns[1:]] for number in range(MADE)]


def typing_error(value, rng):
    at = rng.randrange(len(value))
    if not value[at].isalpha():
        return value
    return value[:at] + rng.choice("abcdefghijklmnopqrstuvwxyz") + value[at + 1:]


def distinct(rows, rng):
    once = lambda value: typing_error(value, rng) if value else value
    return [row[:1] + [once(once(value)) for value in row[1:]] for row in rows]


def clkhash(rows, pipe):
    from clkhash.clk import generate_clks
    from clkhash.schema import from_json_dict

    schema = from_json_dict(json.loads(SCHEMA.read_text()))
    start = time.perf_counter()
    clks = generate_clks(rows, schema, SECRET, validate=True, max_workers=1)
    pipe.send((time.perf_counter() - start, [clk.tobytes() for clk in clks]))


def theirs(rows):
    ours, child_end = multiprocessing.Pipe(False)
    child = multiprocessing.get_context("fork").Process(target=clkhash, args=(rows, child_end))
    child.start()
    seconds, clks = ours.recv()
    child.join()
    return seconds, clks


def hedui(program, folder):
    out = folder / "clks.json"
    command = [program, "clk", "encode", folder / "rows.csv", SCHEMA, "--secret-file", folder / "secret", "--out", out]
    start = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - start, out


def measure(program, header, rows, repeat):
    import base64

    ours, peer = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with open(folder / "rows.csv", "w", newline="") as file:
            csv.writer(file).writerows([header] + rows)
        (folder / "secret").write_text(SECRET)
        (folder / "secret").chmod(0o600)
        for _ in range(repeat):
            seconds, out = hedui(program, folder)
            ours.append(seconds)
            seconds, clks = theirs(rows)
            peer.append(seconds)
            written = [base64.b64decode(clk) for clk in json.loads(out.read_text())["clks"]]
            assert written == clks, "the CLKs differ"
    return statistics.median(ours), statistics.median(peer)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hedui", required=True)
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    header, *rows = febrl()
    rng = random.Random(1)
    made = resampled(rows, rng)
    print("| rows | hedui, records/s | clkhash, records/s | ratio |")
    print("|---|--:|--:|--:|")
    for name, rows in (("FEBRL 4", rows), ("its values resampled", made), ("few values repeat", distinct(made, rng))):
        ours, peer = measure(args.hedui, header, rows, args.repeat)
        print(f"| {len(rows):,}, {name} | {len(rows) / ours:,.0f} | {len(rows) / peer:,.0f} | {peer / ours:.1f} |", flush=True)


main()
