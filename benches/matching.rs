//! What a comparison of two filters costs, kernel by kernel, what solving costs, and a lookup in the join's index.
//!
//! `cargo bench --bench matching` prints times and pairs a second. `benches/peers/run` compares whole commands with peers.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hedui::matching::Matcher;
use hedui::matching::exhaustive::{Comparison, Filters, Kernel, Limit, Measure};
use hedui::matching::index::Index;
use hedui::matching::solve::{Candidate, Components, Groups, OneToOne, optimal};
use hedui_protocol::encodings::{Encodings, Shape, Token};
use hedui_protocol::schema::Schema;

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

/// The other way: the bits that two filters share, counted pair by pair. The bit-sliced kernels stand where they beat these.
#[cfg(target_arch = "x86_64")]
mod pair_by_pair {
    use std::arch::x86_64::*;

    pub const WORDS: usize = 16;
    pub type Filter = [u64; WORDS];
    /// Eight filters, a word of each beside the others'.
    pub type Eight = [__m512i; WORDS];

    pub fn eight(filters: &[Filter]) -> Eight {
        let word = |at: usize| -> [u64; 8] { std::array::from_fn(|lane| filters[lane][at]) };
        // SAFETY: 64 bytes on either side
        std::array::from_fn(|at| unsafe { std::mem::transmute(word(at)) })
    }

    #[target_feature(enable = "popcnt")]
    pub fn popcnt(probes: &[Filter], records: &[Filter], least: u64) -> u64 {
        let mut found = 0;
        for record in records {
            for probe in probes {
                let both: u32 = record.iter().zip(probe).map(|(one, other)| (one & other).count_ones()).sum();
                found += u64::from(u64::from(both) >= least);
            }
        }
        found
    }

    /// Two probes at a time: more of them do not get more out of the one port that counts.
    #[target_feature(enable = "avx512f,avx512vpopcntdq")]
    pub fn vpopcntq(probes: &[Filter], records: &[Eight], least: u64) -> u64 {
        let least = _mm512_set1_epi64(least.cast_signed());
        let mut found = 0;
        for eight in records {
            for [one, other] in probes.as_chunks::<2>().0 {
                let mut both = [_mm512_setzero_si512(); 2];
                for at in 0..WORDS {
                    for (count, probe) in both.iter_mut().zip([one, other]) {
                        let shared = _mm512_and_si512(eight[at], _mm512_set1_epi64(probe[at].cast_signed()));
                        *count = _mm512_add_epi64(*count, _mm512_popcnt_epi64(shared));
                    }
                }
                found += both.iter().map(|both| _mm512_cmpge_epi64_mask(*both, least).count_ones()).sum::<u32>() as u64;
            }
        }
        found
    }
}

#[cfg(target_arch = "x86_64")]
fn rivals(c: &mut Criterion) {
    use pair_by_pair::*;

    let filters = |count: usize, seed: u64| -> Vec<Filter> {
        strangers(count, 1024, seed).iter().map(|filter| filter.try_into().expect("1024 bits")).collect()
    };
    let (probes, records) = (filters(PROBES, 1), filters(RECORDS, 2));
    let eights: Vec<Eight> = records.as_chunks::<8>().0.iter().map(|chunk| eight(chunk)).collect();
    let mut group = c.benchmark_group("pair by pair, 1024 bits");
    group.throughput(Throughput::Elements((PROBES * RECORDS) as u64)).sample_size(20);
    if is_x86_feature_detected!("popcnt") {
        // SAFETY: the processor has the feature; so below
        group.bench_function("popcnt", |bench| bench.iter(|| unsafe { popcnt(&probes, &records, 180) }));
    }
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vpopcntdq") {
        group.bench_function("vpopcntq", |bench| {
            bench.iter(|| {
                let tiles = probes.chunks(32).flat_map(|probes| eights.chunks(16).map(move |eights| (probes, eights)));
                tiles.map(|(probes, eights)| unsafe { vpopcntq(probes, eights, 180) }).sum::<u64>()
            });
        });
    }
    group.finish();
}

#[cfg(not(target_arch = "x86_64"))]
fn rivals(_: &mut Criterion) {}

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
    group.bench_function("optimal", |bench| {
        bench.iter(|| {
            let mut components = Components::default();
            candidates.iter().for_each(|pair| components.link(pair));
            let mut parts: Vec<(u32, Candidate)> = candidates.iter().map(|pair| (components.of(pair), *pair)).collect();
            parts.sort_unstable();
            optimal(parts.into_iter().map(Ok::<_, std::convert::Infallible>)).map(|solved| solved.kept.len())
        });
    });
    group.finish();
}

/// Rows with a token for each pass of `resident-cn`: of four passes shared by some ten rows, of the others one person's.
fn encodings(person: u64) -> Encodings {
    let token = |pass: u8| {
        let value = if pass < 4 { person % (ROWS / 10) } else { person };
        let hash = blake3::hash(&[&value.to_le_bytes()[..], &[pass]].concat());
        (pass, Token(hash.as_bytes()[..16].try_into().expect("sixteen of 32 bytes")))
    };
    Encodings { tokens: (0..19).map(token).collect(), filters: vec![] }
}

const ROWS: u64 = 100_000;

/// What grows with an agency is in `benches/growth.rs`.
fn join(c: &mut Criterion) {
    let schema = Schema::parse(Schema::preset("resident-cn").expect("shipped")).expect("shipped");
    let rows: Vec<Encodings> = (0..ROWS).map(encodings).collect();
    let index = Index::of_encodings(rows.iter()).expect("memory takes it");
    let matcher = Matcher::new(&index, &schema, Shape { passes: 19, filter_bytes: vec![] });
    let subjects: Vec<Encodings> = (0..1000).map(|at| encodings(at * 2 * ROWS / 1000)).collect();
    let all: Vec<&Encodings> = subjects.iter().collect();
    let found = matcher.matches_of_all(&all).iter().filter(|matches| !matches.is_empty()).count();
    assert!(found >= 500, "half of the subjects are in the set");
    let mut group = c.benchmark_group("join, 100,000 rows");
    group.throughput(Throughput::Elements(ROWS)).sample_size(10);
    group.bench_function("index in memory", |bench| {
        bench.iter(|| Index::of_encodings(rows.iter()).expect("memory takes it").rows());
    });
    group.throughput(Throughput::Elements(all.len() as u64)).sample_size(20);
    group.bench_function("1,000 subjects together", |bench| bench.iter(|| matcher.matches_of_all(&all).len()));
    group.bench_function("1,000 subjects one by one", |bench| {
        bench.iter(|| all.iter().map(|subject| matcher.matches(subject).len()).sum::<usize>());
    });
    group.finish();
}

criterion_group!(matching, kernels, rivals, solvers, join);
criterion_main!(matching);
