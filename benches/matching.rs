//! What a comparison of two filters costs, kernel by kernel, and what solving costs.
//!
//! `cargo bench --bench matching` prints times and pairs a second. `benches/peers/run` compares whole commands with peers.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hedui::matching::exhaustive::{Comparison, Filters, Kernel, Limit, Measure};
use hedui::matching::solve::{Candidate, Groups, OneToOne, optimal};

const PROBES: usize = 1024;
const RECORDS: usize = 8192;

/// Filters of strangers, 35 of 100 bits set, each bit by itself: nothing that a bound could use but the count itself.
fn strangers(count: usize, bits: usize, seed: u64) -> Filters {
    let mut stream = blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof();
    let mut draws = vec![0u8; bits];
    let mut bytes = Vec::with_capacity(count * bits / 8);
    for _ in 0..count {
        stream.fill(&mut draws);
        bytes.extend(
            draws.chunks(8).map(|draws| {
                draws.iter().enumerate().fold(0u8, |byte, (at, draw)| byte | (u8::from(*draw < 90) << at))
            }),
        );
    }
    Filters::new(&bytes, bits / 8).expect("a length that is compared")
}

fn kernels(c: &mut Criterion) {
    let mut group = c.benchmark_group("1,024 × 8,192 filters");
    group.throughput(Throughput::Elements((PROBES * RECORDS) as u64)).sample_size(20);
    for (bits, measure, threshold) in [
        (1024, Measure::Dice, "0.5"),
        (1024, Measure::Dice, "0.8"),
        (1024, Measure::Dice, "0.9"),
        (2048, Measure::Hamming, "0.57"),
    ] {
        let (a, b) = (strangers(PROBES, bits, 1), strangers(RECORDS, bits, 2));
        let limit = Limit { measure, threshold: threshold.parse().expect("a similarity"), bits: bits as u32 };
        for kernel in Kernel::all() {
            let comparison = Comparison::between(&a, &b, limit, kernel);
            let name = BenchmarkId::new(kernel.name, format!("{bits} bits, {measure:?} {threshold}"));
            group.bench_function(name, |bench| {
                bench.iter(|| {
                    let mut pairs = 0u64;
                    (0..comparison.tiles()).for_each(|tile| comparison.tile(tile, |_| pairs += 1));
                    pairs
                });
            });
        }
    }
    group.finish();

    let (a, b) = (strangers(PROBES, 1024, 1), strangers(RECORDS, 1024, 2));
    let limit = Limit { measure: Measure::Dice, threshold: "0.8".parse().expect("a similarity"), bits: 1024 };
    c.bench_function("turn 8,192 filters of 1024 bits by a quarter", |bench| {
        bench.iter(|| Comparison::between(&a, &b, limit, Kernel::fastest()).tiles());
    });
}

/// Candidates of 20,000 people and their copies, each with some that only look alike.
fn candidates() -> Vec<Candidate> {
    let draw =
        |at: u32| u32::from_le_bytes(blake3::hash(&at.to_le_bytes()).as_bytes()[..4].try_into().expect("four bytes"));
    let pair = |a: u32, b: u32, score: u32| Candidate {
        score: f64::from(700 + score % 300) / 1000.0,
        files: [0, 1],
        records: [a, b],
    };
    let of = |a: u32| {
        (0..3).map(move |n| pair(a, if n == 0 { a } else { (a + draw(4 * a + n) % 8) % 20_000 }, draw(n << 20 | a)))
    };
    let mut all: Vec<Candidate> = (0..20_000).flat_map(of).collect();
    all.sort_unstable();
    all.dedup_by_key(|pair| pair.records);
    all
}

fn solvers(c: &mut Criterion) {
    let candidates = candidates();
    let mut group = c.benchmark_group("solve");
    group.throughput(Throughput::Elements(candidates.len() as u64)).sample_size(10);
    group.bench_function("greedy, one to one", |bench| {
        bench.iter(|| {
            let mut solver = OneToOne::default();
            candidates.iter().filter(|pair| solver.keeps(pair)).count()
        });
    });
    group.bench_function("greedy, groups", |bench| {
        bench.iter(|| {
            let mut groups = Groups::new(false);
            candidates.iter().for_each(|pair| groups.add(pair));
            groups.finish().len()
        });
    });
    group.bench_function("optimal", |bench| bench.iter(|| optimal(&candidates).kept.len()));
    group.finish();
}

criterion_group!(matching, kernels, solvers);
criterion_main!(matching);
