"""Random CLKs: anonlink and Hedui must find the same pairs with the same scores, and put them into the same groups.

At .8, .85 and .9 anonlink's C++ kernel is the oracle; at other thresholds, where it loses pairs that lie exactly on them,
its plain Python Dice is. Groups are compared with its greedy solver, for two files and more, with records of one file
compared with one another and without.
"""

import argparse
import array
import base64
import csv
import itertools
import json
import random
import subprocess
import tempfile
from fractions import Fraction
from pathlib import Path

from anonlink.candidate_generation import find_candidate_pairs
from anonlink.similarities import dice_coefficient_accelerated, dice_coefficient_python
from anonlink.solving import greedy_solve, probabilistic_greedy_solve
from bitarray import bitarray

SAFE = ["0.8", "0.85", "0.9"]
OTHERS = ["0.5", "0.55", "0.6", "0.625", "0.75", "0.7", "0.95", "1"]


def files(rng):
    """Files of CLKs around common centres, so that all similarities are there, and many equal ones."""
    bits = rng.choice([64, 128, 192, 1024, 1024, 2048])
    centres = [[rng.random() < rng.choice([0.02, 0.3, 0.35, 0.5, 0.9]) for _ in range(bits)]
               for _ in range(rng.randint(1, 12))]

    def clk():
        bit = list(rng.choice(centres))
        for _ in range(rng.choice([0, 0, 1, 2, 5, bits // 20, bits // 8])):
            at = rng.randrange(bits)
            bit[at] = not bit[at]
        if rng.random() < 0.02:
            bit = [rng.random() < 0.5] * bits
        return bitarray(bit)

    return [[clk() for _ in range(rng.choice([1, 3, 20, 60]))] for _ in range(rng.choice([2, 2, 3, 4]))]


def write(path, clks):
    path.write_text(json.dumps({"clks": [base64.b64encode(clk.tobytes()).decode() for clk in clks]}))


def exact(threshold):
    """anonlink's plain Dice, and what the definition says where its score is rounded to the threshold."""
    limit = Fraction(threshold)

    def similarity(datasets, _, k=None):
        sims, (left, right) = dice_coefficient_python(datasets, 0.0, k=k)
        kept = [
            (sim, i, j) for sim, i, j in zip(sims, left, right)
            if reaches(datasets[0][i], datasets[1][j], limit)
        ]
        columns = list(zip(*kept)) or [(), (), ()]
        return array.array("d", columns[0]), (array.array("I", columns[1]), array.array("I", columns[2]))

    return similarity


def reaches(one, other, limit):
    total = one.count() + other.count()
    return total > 0 and 2 * (one & other).count() >= limit * total


def candidates(datasets, threshold, within):
    """Candidate pairs as anonlink gives them; with `within`, those of one file as well."""
    similarity = dice_coefficient_accelerated if threshold in SAFE else exact(threshold)
    sims, (left, right), (i, j) = find_candidate_pairs(datasets, similarity, float(threshold))
    found = list(zip(sims, left, right, i, j))
    if within:
        for number, clks in enumerate(datasets):
            sims, (i, j) = similarity((clks, clks), float(threshold))
            found += [(sim, number, number, a, b) for sim, a, b in zip(sims, i, j) if a < b]
    return sorted(found, key=lambda pair: (-pair[0], *pair[1:]))


def columns(found):
    sims, left, right, i, j = list(zip(*found)) or [()] * 5
    unsigned = [array.array("I", column) for column in (left, right, i, j)]
    return array.array("d", sims), (unsigned[0], unsigned[1]), (unsigned[2], unsigned[3])


def hedui(program, paths, threshold, *more):
    out = paths[0].parent / "out.csv"
    command = [program, "match", *map(str, paths), "--threshold", threshold, "--out", str(out), *more]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with open(out, newline="") as lines:
        return list(csv.reader(lines))[1:]


def as_groups(lines, paths):
    number = {str(path): at for at, path in enumerate(paths)}
    groups = itertools.groupby(lines, key=lambda line: line[0])
    return {frozenset((number[file], int(row)) for _, file, row in group) for _, group in groups}


def check(rng, program, folder):
    datasets = files(rng)
    paths = [folder / f"{number}.json" for number in range(len(datasets))]
    for path, clks in zip(paths, datasets):
        write(path, clks)
    threshold = rng.choice(SAFE + OTHERS)
    kernel = rng.choice(["portable", None])
    more = ["--kernel", kernel] if kernel else []

    found = candidates(datasets[:2], threshold, False)
    expect = [(a, b, score) for score, _, _, a, b in found]
    lines = hedui(program, paths[:2], threshold, *more)
    assert [(int(a), int(b), float(score)) for a, b, score in lines] == expect, f"pairs at {threshold}"

    groups = greedy_solve(columns(found))
    lines = hedui(program, paths[:2], threshold, "--solve", "greedy", *more)
    pairs = {frozenset([(0, int(a)), (1, int(b))]) for a, b, _ in lines}
    assert pairs == set(map(frozenset, groups)), f"one to one at {threshold}"

    within = rng.random() < 0.5
    if within or len(datasets) > 2:
        found = candidates(datasets, threshold, within)
        one_a_file = rng.random() < 0.5
        groups = probabilistic_greedy_solve(columns(found), merge_threshold=1.0, deduplicated=one_a_file)
        flags = ["--self"] * within + ["--one-a-file"] * one_a_file
        lines = hedui(program, paths, threshold, "--solve", "greedy", *flags, *more)
        assert as_groups(lines, paths) == set(map(frozenset, groups)), f"groups at {threshold} {flags}"
    return len(expect), len(groups)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hedui", required=True)
    parser.add_argument("--cases", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    pairs = groups = 0
    for case in range(args.cases):
        rng = random.Random(f"{args.seed} {case}")
        with tempfile.TemporaryDirectory() as folder:
            try:
                some = check(rng, args.hedui, Path(folder))
            except AssertionError as wrong:
                raise SystemExit(f"--seed {args.seed}, case {case}: {wrong}")
        pairs, groups = pairs + some[0], groups + some[1]
    print(f"{args.cases} cases, {pairs} pairs, {groups} groups: all as anonlink's")


main()
