use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn pair(a: u32, b: u32, score: f64) -> Candidate {
    Candidate { score, files: [0, 1], records: [a, b] }
}

fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let one = (0u32..6, 0u32..6, 0u32..=20).prop_map(|(a, b, score)| pair(a, b, f64::from(score) / 20.0));
    proptest::collection::vec(one, 0..16).prop_map(|mut all| {
        all.sort_by_key(|pair| pair.records);
        all.dedup_by_key(|pair| pair.records);
        all.sort();
        all
    })
}

/// Every one-to-one choice of the candidates, tried: the greatest total.
fn greatest(candidates: &[Candidate], taken: &mut Vec<Record>) -> f64 {
    let Some((first, rest)) = candidates.split_first() else { return 0.0 };
    let without = greatest(rest, taken);
    if taken.contains(&first.record(0)) || taken.contains(&first.record(1)) {
        return without;
    }
    taken.extend([first.record(0), first.record(1)]);
    let with = first.score + greatest(rest, taken);
    taken.truncate(taken.len() - 2);
    without.max(with)
}

fn is_one_to_one(kept: &[Candidate]) -> bool {
    (0..2).all(|side| kept.iter().map(|pair| pair.records[side]).collect::<BTreeSet<_>>().len() == kept.len())
}

/// Of candidates that come surest first, as `hedui match` has them solved.
fn solved(candidates: &[Candidate]) -> Optimal {
    let mut components = Components::default();
    candidates.iter().for_each(|pair| components.link(pair));
    let mut parts: Vec<(u32, Candidate)> = candidates.iter().map(|pair| (components.of(pair), *pair)).collect();
    parts.sort_unstable();
    optimal(parts.into_iter().map(Ok::<_, std::convert::Infallible>)).unwrap()
}

proptest! {
    #[test]
    fn no_assignment_is_worth_more_than_the_optimal_one(candidates in candidates()) {
        let Optimal { kept, too_large } = solved(&candidates);
        prop_assert_eq!(too_large, 0);
        prop_assert!(is_one_to_one(&kept) && kept.is_sorted() && kept.iter().all(|pair| candidates.contains(pair)));
        let total: f64 = kept.iter().map(|pair| pair.score).sum();
        prop_assert!((total - greatest(&candidates, &mut Vec::new())).abs() < 1e-9);
    }

    #[test]
    fn groups_of_two_files_are_the_one_to_one_pairs(candidates in candidates()) {
        let (mut one_to_one, mut groups) = (OneToOne::default(), Groups::new(false));
        let kept: Vec<Candidate> = candidates.iter().filter(|pair| one_to_one.keeps(pair)).copied().collect();
        candidates.iter().for_each(|pair| groups.add(pair));
        prop_assert!(is_one_to_one(&kept));
        let mut pairs: Vec<_> = kept.iter().map(|pair| pair.records).collect();
        pairs.sort_unstable();
        let groups: Vec<_> = groups.finish().iter().map(|group| [group[0].record, group[1].record]).collect();
        prop_assert_eq!(groups, pairs);
    }

    #[test]
    fn best_is_the_first_of_each_record_of_b(candidates in candidates()) {
        let mut best = Best::default();
        let kept: Vec<Candidate> = candidates.iter().filter(|pair| best.keeps(pair)).copied().collect();
        for b in 0..6 {
            let of_b = |all: &[Candidate]| all.iter().find(|pair| pair.records[1] == b).copied();
            prop_assert_eq!(of_b(&kept), of_b(&candidates));
        }
        prop_assert!(kept.len() <= 6);
    }
}

#[test]
fn greedy_takes_the_surest_and_optimal_the_most() {
    let candidates = [pair(0, 0, 0.9), pair(0, 1, 0.8), pair(1, 0, 0.85)];
    let mut sorted = candidates;
    sorted.sort();
    let mut greedy = OneToOne::default();
    let greedy: Vec<_> = sorted.iter().filter(|pair| greedy.keeps(pair)).map(|pair| pair.records).collect();
    assert_eq!(greedy, [[0, 0]]);
    let kept: Vec<_> = solved(&sorted).kept.iter().map(|pair| pair.records).collect();
    assert_eq!(kept, [[1, 0], [0, 1]]);
}

#[test]
fn a_component_too_large_is_solved_greedily_and_counted() {
    let wide = (0..1025).flat_map(|a| [(a, 0), (a, a)]).chain((0..1025).map(|b| (0, b)));
    let mut candidates: Vec<Candidate> = wide.map(|(a, b)| pair(a, b, if a == b { 0.9 } else { 0.8 })).collect();
    candidates.push(pair(2000, 2000, 1.0));
    candidates.sort();
    candidates.dedup();
    let Optimal { kept, too_large } = solved(&candidates);
    assert_eq!((kept.len(), too_large), (1026, 1));
}

#[test]
fn a_component_of_more_pairs_than_a_matrix_has_cells_is_not_held() {
    let mut candidates: Vec<Candidate> =
        (0..1100).flat_map(|a| (0..1100).map(move |b| pair(a, b, if a == b { 0.9 } else { 0.8 }))).collect();
    candidates.sort();
    let Optimal { kept, too_large } = solved(&candidates);
    assert_eq!((kept.len(), too_large), (1100, 1));
    assert!(kept.iter().all(|pair| pair.records[0] == pair.records[1]));
}

#[test]
fn top_counts_each_side_and_each_file_apart() {
    let mut top = Top::new(1);
    let all =
        [pair(0, 0, 0.9), pair(0, 1, 0.8), pair(1, 1, 0.7), Candidate { score: 0.6, files: [0, 2], records: [0, 0] }];
    // (1, 1) is the first of A's 1 but the second of B's 1, though the first was not kept
    assert_eq!(all.map(|pair| top.keeps(&pair)), [true, false, false, true]);
}

#[track_caller]
fn check(one_a_file: bool, pairs: &[(Record, Record)], expect: &[&[Record]]) {
    let mut groups = Groups::new(one_a_file);
    for ((file_a, a), (file_b, b)) in pairs {
        groups.add(&Candidate { score: 1.0, files: [*file_a, *file_b], records: [*a, *b] });
    }
    let groups: Vec<Vec<Record>> =
        groups.finish().iter().map(|group| group.iter().map(|member| (member.file, member.record)).collect()).collect();
    assert_eq!(groups, expect);
}

#[test]
fn groups_join_when_their_last_pair_has_come() {
    let (a, b, c, d) = ((0, 0), (1, 0), (2, 0), (3, 0));
    check(true, &[(a, b), (b, c)], &[&[a, b]]);
    check(true, &[(a, b), (b, c), (a, c)], &[&[a, b, c]]);
    check(true, &[(a, b), (c, d), (a, c), (a, d), (b, c)], &[&[a, b], &[c, d]]);
    check(true, &[(a, b), (c, d), (a, c), (a, d), (b, c), (b, d)], &[&[a, b, c, d]]);
    // a group that grows takes along what it shares with a third
    check(true, &[(a, b), (b, c), (c, d), (a, c), (a, d), (b, d)], &[&[a, b, c, d]]);
}

#[test]
fn several_records_of_one_file_are_a_choice() {
    let (a, b, other) = ((0, 0), (1, 0), (0, 1));
    check(false, &[(a, b), (a, other), (other, b)], &[&[a, other, b]]);
    check(true, &[(a, b), (a, other), (other, b)], &[&[a, b]]);
}
