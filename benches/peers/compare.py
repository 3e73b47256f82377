"""Times `hedui match`, anonlink, faiss and NumKong on the same CLKs, one thread each; checks that they find the same pairs.

The CLKs are made here, unless `--clks` names them: filters of 1024 bits, 35 in 100 set, bits of unequal frequency as q-grams give them. Three records in ten of B
are copies of one of A with some bits moved. Each time is the median of its runs, which take turns, so that a
machine that is busy for a while is busy for all. Hedui's time is the whole command, from files to the pairs file; the peers'
is their search in memory, and for faiss and NumKong the step from their numbers to the exact pairs.
"""

import argparse
import base64
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BITS = 1024


def make(count, seed):
    """Two sets of filters as rows of bytes; each bit has its own frequency, .35 in the mean."""
    import numpy as np

    rng = np.random.default_rng(seed)
    frequency = np.clip(rng.beta(2.2, 4.1, BITS), 0.02, 0.95)
    frequency *= 0.35 / frequency.mean()
    a = rng.random((count, BITS)) < frequency
    b = rng.random((count, BITS)) < frequency
    copies = rng.choice(count, count * 3 // 10, replace=False)
    moved = rng.random((len(copies), BITS)) < rng.uniform(0, 0.3, (len(copies), 1))
    b[copies] = a[rng.choice(count, len(copies), replace=False)] ^ (moved & (rng.random(moved.shape) < 0.5))
    return np.packbits(a, axis=1), np.packbits(b, axis=1)


def write(path, rows):
    clks = [base64.b64encode(row.tobytes()).decode() for row in rows]
    path.write_text(json.dumps({"clks": clks}))


def read(path):
    import numpy as np

    clks = json.loads(Path(path).read_text())["clks"]
    return np.array([np.frombuffer(base64.b64decode(clk), np.uint8) for clk in clks])


def hedui(program, files, out, threshold, threads=1):
    command = [program, "match", *files, "--threshold", threshold, "--threads", str(threads), "--out", str(out), "--json"]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.perf_counter() - start, out, json.loads(done.stdout)


def read_pairs(path):
    with open(path, newline="") as lines:
        return {(int(a), int(b)): float(score) for a, b, score in list(csv.reader(lines))[1:]}


def anonlink(a, b, threshold):
    from anonlink.candidate_generation import find_candidate_pairs
    from anonlink.similarities import dice_coefficient_accelerated
    from bitarray import bitarray

    def bits(rows):
        made = []
        for row in rows:
            one = bitarray(endian="big")
            one.frombytes(row.tobytes())
            made.append(one)
        return made

    sets = bits(a), bits(b)
    start = time.perf_counter()
    scores, _, (i, j) = find_candidate_pairs(sets, dice_coefficient_accelerated, float(threshold))
    return time.perf_counter() - start, {(x, y): score for score, x, y in zip(scores, i, j)}


def faiss(a, b, threshold):
    import faiss as library
    import numpy as np

    library.omp_set_num_threads(1)
    t = float(threshold)
    ones_a, ones_b = (np.unpackbits(rows, axis=1).sum(1, dtype=np.int64) for rows in (a, b))
    start = time.perf_counter()
    index = library.IndexBinaryFlat(BITS)
    index.add(b)
    found = {}
    for ones in np.unique(ones_a):
        rows = np.nonzero(ones_a == ones)[0]
        # |a ⊕ b| = |a| + |b| − 2·|a ∧ b|: at most (1 − t)(|a| + |b|), and |b| at most |a|·(2 − t)/t
        radius = int((1 - t) * (ones + ones * (2 - t) / t)) + 1
        limits, distance, ids = index.range_search(a[rows], radius + 1)
        limits = limits.astype(np.int64)
        for row, low, high in zip(rows, limits[:-1], limits[1:]):
            total = ones_a[row] + ones_b[ids[low:high]]
            score = (total - distance[low:high].astype(np.int64)) / total
            for at in np.nonzero(score >= t)[0]:
                found[(int(row), int(ids[low + at]))] = float(score[at])
    return time.perf_counter() - start, found


def numkong(a, b, threshold):
    import numkong as library
    import numpy as np

    t = float(threshold)
    ones_a, ones_b = (np.unpackbits(rows, axis=1).sum(1, dtype=np.int64) for rows in (a, b))
    start = time.perf_counter()
    found = {}
    for low in range(0, len(b), 4096):
        # not "u1", which it reads as a byte
        side = library.dots_pack(b[low:low + 4096], dtype="uint1")
        for top in range(0, len(a), 256):
            both = np.asarray(library.dots_packed(a[top:top + 256], side))
            # 2·both ≥ t·(|a| + |b|), and |b| is at least both: both ≥ t·|a| / (2 − t)
            least = np.ceil(t * ones_a[top:top + 256] / (2 - t) - 1e-9).astype(both.dtype)
            i, j = np.nonzero(both >= least[:, None])
            score = 2 * both[i, j].astype(np.int64) / (ones_a[i + top] + ones_b[j + low])
            for at in np.nonzero(score >= t)[0]:
                found[(int(i[at]) + top, int(j[at]) + low)] = float(score[at])
    return time.perf_counter() - start, found


def numkong_counts(a, b):
    """The bits that each pair shares, and nothing made of them: its bare kernel."""
    import numkong as library

    start = time.perf_counter()
    for low in range(0, len(b), 4096):
        side = library.dots_pack(b[low:low + 4096], dtype="uint1")
        for top in range(0, len(a), 256):
            library.dots_packed(a[top:top + 256], side)
    return time.perf_counter() - start


PEERS = {"anonlink": anonlink, "faiss": faiss, "NumKong": numkong}


def same(ours, theirs, who):
    assert ours.keys() == theirs.keys(), f"{who} finds other pairs: {len(ours)} and {len(theirs)}"
    furthest = max((abs(ours[pair] - theirs[pair]) for pair in ours), default=0)
    assert furthest <= 1e-9, f"{who} scores otherwise, by {furthest}"


def measure(args, size, threshold):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = args.clks or [str(folder / "a.json"), str(folder / "b.json")]
        if args.clks:
            a, b = map(read, files)
        else:
            a, b = make(size, size)
            write(Path(files[0]), a)
            write(Path(files[1]), b)
        ours, twice, comparing, counting, peers = [], [], [], [], {who: [] for who in PEERS}
        for _ in range(args.repeat):
            seconds, out, figures = hedui(args.hedui, files, folder / "pairs.csv", threshold)
            ours.append(seconds)
            comparing.append(figures["compare_seconds"])
            pairs = read_pairs(out)
            twice.append(hedui(args.hedui, files, out, threshold, threads=2)[0])
            for who, run in PEERS.items():
                if len(a) <= args.peers_up_to:
                    seconds, theirs = run(a, b, threshold)
                    same(pairs, theirs, who)
                    peers[who].append(seconds)
            if len(a) <= args.peers_up_to:
                counting.append(numkong_counts(a, b))
    pairs_asked = len(a) * len(b)
    print(f"{len(a):,} × {len(b):,}, Dice ≥ {threshold}: comparing alone {pairs_asked / statistics.median(comparing) / 1e9:.2f} G/s"
          + (f", NumKong's bare kernel {pairs_asked / statistics.median(counting) / 1e9:.2f} G/s" if counting else ""),
          file=sys.stderr, flush=True)
    row = {"sizes": (len(a), len(b)), "threshold": threshold, "pairs": len(pairs), "kernel": figures["kernel"],
           "mib": figures["max_rss"] >> 20, "hedui": statistics.median(ours), "two": statistics.median(twice)}
    row |= {who: statistics.median(times) for who, times in peers.items() if times}
    return row


def table(rows):
    print("| A × B | Dice ≥ | pairs | hedui s | two threads s | MiB |" + "".join(f" {who} s | ratio |" for who in PEERS))
    print("|---|" + "--:|" * (5 + 2 * len(PEERS)))
    for row in rows:
        cells = ["{:,} × {:,}".format(*row["sizes"]), row["threshold"], f"{row['pairs']:,}", f"{row['hedui']:.2f}",
                 f"{row['two']:.2f}", str(row["mib"])]
        for who in PEERS:
            cells += [f"{row[who]:.2f}", f"{row[who] / row['hedui']:.1f}"] if who in row else ["", ""]
        print("| " + " | ".join(cells) + " |", flush=True)
    print(f"kernel: {rows[0]['kernel']}")


def chart(path, rows, threshold):
    """Seconds against records a side, both in powers: all comparisons cost the same where the line is straight."""
    import math

    lines = {who: [(row["sizes"][0], row[who]) for row in rows if row["threshold"] == threshold and who in row]
             for who in ("hedui", *PEERS)}
    points = [point for line in lines.values() for point in line]
    (left, right), (low, high) = ((min(axis), max(axis)) for axis in zip(*points))
    low, high = 10 ** math.floor(math.log10(low)), 10 ** math.ceil(math.log10(high))
    x = lambda size: 70 + 480 * math.log(size / left) / math.log(right / left)
    y = lambda seconds: 300 - 260 * math.log(seconds / low) / math.log(high / low)
    parts = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 340" font-family="sans-serif" font-size="12">',
             '<rect width="640" height="340" fill="#fff"/>']
    for power in range(round(math.log10(low)), round(math.log10(high)) + 1):
        at = y(10 ** power)
        parts.append(f'<path d="M70 {at:.1f}H550" stroke="#ddd"/><text x="62" y="{at + 4:.1f}" text-anchor="end">{10 ** power:g} s</text>')
    for size in sorted({size for size, _ in points}):
        parts.append(f'<text x="{x(size):.1f}" y="318" text-anchor="middle">{size:,}</text>')
    for (who, line), colour in zip(lines.items(), ("#0b6e4f", "#c0392b", "#2c5aa0", "#7d5a00")):
        if line:
            path_ = "L".join(f"{x(size):.1f} {y(seconds):.1f}" for size, seconds in line)
            parts.append(f'<path d="M{path_}" fill="none" stroke="{colour}" stroke-width="2"/>')
            size, seconds = line[-1]
            parts.append(f'<text x="{x(size) + 6:.1f}" y="{y(seconds) + 4:.1f}" fill="{colour}">{who}</text>')
    parts.append(f'<text x="310" y="334" text-anchor="middle">records a side (Dice ≥ {threshold}, one thread)</text></svg>')
    Path(path).write_text("\n".join(parts) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hedui", required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 30_000, 100_000])
    parser.add_argument("--clks", nargs=2, metavar=("A", "B"), help="clkhash's JSON, instead of CLKs made here")
    parser.add_argument("--thresholds", nargs="+", default=["0.8", "0.9"])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--peers-up-to", type=int, default=30_000, help="the peers sit out larger sizes")
    parser.add_argument("--chart", help="an SVG of cost against size, at the first threshold")
    args = parser.parse_args()
    # one core for all that is single-threaded here; the second thread of Hedui gets what is left
    os.environ["OMP_NUM_THREADS"] = "1"
    sizes = [None] if args.clks else args.sizes
    rows = [measure(args, size, threshold) for size in sizes for threshold in args.thresholds]
    table(rows)
    if args.chart:
        chart(args.chart, rows, args.thresholds[0])


main()
