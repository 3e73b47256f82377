//! How many pairs of two files are matches, and which, where nobody knows the truth: a latent class model.
//!
//! A pair shows one outcome a field ([`Shown`]). Pairs are of classes, in each of which fields err independently of each
//! other (Winkler, "Using the EM algorithm for weight computation in the Fellegi-Sunter model", 1988): strangers, whose
//! outcomes random pairs of the files show and whose number is known; strangers who share a home or a birthday; and
//! matches, kept well or badly. A value is missing as often in matches as in random pairs. Only pairs that meet in some pass
//! are seen; matches that meet in none are inferred from what the others show (the expectation step counts them too).

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use rayon::prelude::*;

/// One outcome a field; 0 is a value missing on a side.
pub type Shown = Box<[u16]>;

/// Pairs that show the same.
pub struct Group {
    pub shown: Shown,
    pub pairs: f64,
    /// The share of matches among them by a schema's weights.
    pub guess: f64,
}

/// What a fit starts from.
pub struct Sample<'s> {
    /// Every pair that meets in some pass, grouped.
    pub groups: &'s [Group],
    /// Outcomes of random pairs, which are strangers.
    pub strangers: &'s [Shown],
    /// All pairs of the files, met or not.
    pub all_pairs: f64,
    /// Fields that tell when somebody was born; the others tell what they are called and where they are found.
    pub of_birth: &'s [bool],
    /// Whether a pair that shows this meets in some pass.
    pub meets: &'s (dyn Fn(&[u16]) -> bool + Sync),
}

pub struct Fit {
    /// The probability that a pair of each group is a match.
    pub matches: Vec<f64>,
    /// Expected matches that meet in no pass.
    pub unseen: f64,
}

/// For each field the probability of each outcome, or the weight of the pairs that show it.
type Outcomes = Vec<Vec<f64>>;

/// Strangers with something in common: a home (but born apart), a birthday (but living apart). Matches follow them.
const COMMON: [Common; 2] = [Common::Home, Common::Birthday];
/// Classes of matches: kept well, kept badly.
const KEPT: usize = 2;
const MOST_STEPS: usize = 200;
/// Relative change of the classes' sizes at which a fit is done.
const SETTLED: f64 = 1e-6;
/// Draws by which the matches that meet nowhere are counted.
const DRAWS: usize = 20_000;
/// Pairs that every class starts with, so that no outcome is impossible and a small class stays like its kind.
const PRIOR: f64 = 10.0;
/// Bits by which the mixture may be surer, or less sure, of a match than the schema's weights. Weights alone are too sure
/// of badly kept data, a mixture alone gives doubtful pairs away; each corrects the other (`docs/TUNING.md` has figures).
const LATITUDE_UP: f64 = 2.0;
const LATITUDE_DOWN: f64 = 1.0;
/// Bits below which the weights' word does not hold a pair up.
const UNLIKELY: f64 = -1.0;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Common {
    Home,
    Birthday,
}

struct Class {
    size: f64,
    outcomes: Outcomes,
}

pub fn fit(sample: &Sample) -> Fit {
    let strangers = strangers(sample);
    let mut classes = first_classes(sample, &strangers);
    loop_until_settled(sample, &strangers, &mut classes);
    let shares = shares_of_all(sample, &strangers, &classes);
    let unseen = classes[COMMON.len()..].iter().map(|class| class.size * unmet(&class.outcomes, sample).0);
    Fit { matches: shares.iter().map(|shares| shares[COMMON.len()..].iter().sum()).collect(), unseen: unseen.sum() }
}

/// Classes by the weights' guess; matches are kept well as far as their fields agree.
fn first_classes(sample: &Sample, strangers: &Outcomes) -> Vec<Class> {
    let agreeing =
        |group: &Group| group.shown.iter().filter(|outcome| **outcome > 1).count() as f64 / group.shown.len() as f64;
    let share = |group: &Group, class: usize| match class {
        0 | 1 => (1.0 - group.guess) * 0.3,
        2 => group.guess * agreeing(group),
        _ => group.guess * (1.0 - agreeing(group)),
    };
    let shares: Vec<Vec<f64>> =
        sample.groups.iter().map(|group| (0..COMMON.len() + KEPT).map(|class| share(group, class)).collect()).collect();
    let class = |class: usize| Class {
        size: seen(sample, &shares, class),
        outcomes: constrained(class, normalised(tally(strangers, sample, &shares, &[class])), strangers, sample),
    };
    (0..COMMON.len() + KEPT).map(class).collect()
}

// Dempster, Laird, Rubin 1977: pairs to classes by the classes' outcomes, then outcomes by the classes' pairs
fn loop_until_settled(sample: &Sample, strangers: &Outcomes, classes: &mut [Class]) {
    for _ in 0..MOST_STEPS {
        let shares = shares_of_all(sample, strangers, classes);
        let matches: Vec<usize> = (COMMON.len()..classes.len()).collect();
        let like_a_match = normalised(tally(strangers, sample, &shares, &matches));
        let mut change = 0.0f64;
        for (at, class) in classes.iter_mut().enumerate() {
            let (mut size, prior) =
                (seen(sample, &shares, at), if at < COMMON.len() { strangers } else { &like_a_match });
            let mut outcomes = tally(prior, sample, &shares, &[at]);
            if at >= COMMON.len() {
                let (share, shape) = unmet(&class.outcomes, sample);
                let unseen = class.size * share;
                size += unseen;
                for (sums, parts) in outcomes.iter_mut().zip(&shape) {
                    sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += unseen * part);
                }
            }
            change = change.max((size - class.size).abs() / (1.0 + size));
            *class = Class { size, outcomes: constrained(at, normalised(outcomes), strangers, sample) };
        }
        if change < SETTLED {
            break;
        }
    }
}

/// What is known of a class beforehand: strangers are as other strangers are in all that they do not have in common, and
/// values are missing as often in matches as in any pair. Pairs that meet have more of them than the matches that do not.
fn constrained(class: usize, mut outcomes: Outcomes, strangers: &Outcomes, sample: &Sample) -> Outcomes {
    for ((own, strange), of_birth) in outcomes.iter_mut().zip(strangers).zip(sample.of_birth) {
        match COMMON.get(class) {
            Some(common) if *of_birth == (*common == Common::Birthday) => {}
            Some(_) => own.clone_from(strange),
            None => {
                let (missing, present) = (strange[0], 1.0 - own[0]);
                own[1..].iter_mut().for_each(|p| *p *= (1.0 - missing) / present);
                own[0] = missing;
            }
        }
    }
    outcomes
}

fn shares_of_all(sample: &Sample, strangers: &Outcomes, classes: &[Class]) -> Vec<Vec<f64>> {
    sample.groups.par_iter().map(|group| shares(group, sample.all_pairs, strangers, classes)).collect()
}

/// The probability that a pair of the group is of each class.
fn shares(group: &Group, all_pairs: f64, strangers: &Outcomes, classes: &[Class]) -> Vec<f64> {
    let rate = |size: f64, outcomes| (size * likelihood(outcomes, &group.shown)).max(f64::MIN_POSITIVE);
    let rates: Vec<f64> = classes.iter().map(|class| rate(class.size, &class.outcomes)).collect();
    let (others, matches) = rates.split_at(COMMON.len());
    let (strange, matching) = (rate(all_pairs, strangers) + others.iter().sum::<f64>(), matches.iter().sum::<f64>());
    let guess = (group.guess / (1.0 - group.guess)).log2();
    // what the weights call unlikely is not held up by them
    let least = if guess >= UNLIKELY { guess - LATITUDE_DOWN } else { f64::NEG_INFINITY };
    let odds = (matching / strange).log2().clamp(least, guess + LATITUDE_UP);
    let match_share = 1.0 / (1.0 + (-odds).exp2());
    let of_others = others.iter().map(|rate| (1.0 - match_share) * rate / strange);
    of_others.chain(matches.iter().map(|rate| match_share * rate / matching)).collect()
}

fn likelihood(outcomes: &Outcomes, shown: &[u16]) -> f64 {
    outcomes.iter().zip(shown).map(|(field, outcome)| field[usize::from(*outcome)]).product()
}

fn strangers(sample: &Sample) -> Outcomes {
    let outcomes = |field: usize| {
        let all = sample.groups.iter().map(|group| &group.shown).chain(sample.strangers);
        all.map(|shown| usize::from(shown[field]) + 1).max().unwrap_or(1)
    };
    let mut sums: Outcomes = (0..sample.of_birth.len()).map(|field| vec![0.1; outcomes(field)]).collect();
    for shown in sample.strangers {
        add(&mut sums, shown, 1.0);
    }
    normalised(sums)
}

fn seen(sample: &Sample, shares: &[Vec<f64>], class: usize) -> f64 {
    sample.groups.iter().zip(shares).map(|(group, shares)| group.pairs * shares[class]).sum()
}

/// What the pairs of some classes show, over a prior.
fn tally(prior: &Outcomes, sample: &Sample, shares: &[Vec<f64>], classes: &[usize]) -> Outcomes {
    let mut sums: Outcomes = prior.iter().map(|field| field.iter().map(|p| p * PRIOR).collect()).collect();
    for (group, shares) in sample.groups.iter().zip(shares) {
        add(&mut sums, &group.shown, group.pairs * classes.iter().map(|class| shares[*class]).sum::<f64>());
    }
    sums
}

fn add(sums: &mut Outcomes, shown: &[u16], weight: f64) {
    sums.iter_mut().zip(shown).for_each(|(field, outcome)| field[usize::from(*outcome)] += weight);
}

fn normalised(mut sums: Outcomes) -> Outcomes {
    for field in &mut sums {
        let sum: f64 = field.iter().sum();
        field.iter_mut().for_each(|p| *p /= sum);
    }
    sums
}

/// The share of a class that meets in no pass, and what those pairs show.
fn unmet(class: &Outcomes, sample: &Sample) -> (f64, Outcomes) {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut sums: Outcomes = class.iter().map(|field| vec![0.0; field.len()]).collect();
    let mut missed = 0.0;
    let mut shown = vec![0u16; class.len()];
    for _ in 0..DRAWS {
        for (outcome, field) in shown.iter_mut().zip(class) {
            let mut left = f64::from(random.next_u32()) / f64::from(u32::MAX);
            let at = field.iter().position(|p| {
                left -= p;
                left < 0.0
            });
            *outcome = u16::try_from(at.unwrap_or(0)).expect("outcomes are numbered in 16 bits");
        }
        if !(sample.meets)(&shown) {
            missed += 1.0;
            add(&mut sums, &shown, 1.0);
        }
    }
    sums.iter_mut().for_each(|field| field.iter_mut().for_each(|sum| *sum /= f64::max(missed, 1.0)));
    (missed / DRAWS as f64, sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws pairs whose truth is known: matches that agree in each of three fields with a known probability, and
    /// strangers who agree by chance; only those that agree in two fields are seen. How many matches are found and how many
    /// are not, as shares of the truth.
    fn counted(missing: f64) -> (f64, f64) {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut share = || f64::from(random.next_u32()) / f64::from(u32::MAX);
        let mut outcome = |agree: f64| match share() {
            drawn if drawn < missing => 0,
            drawn if drawn < missing + (1.0 - missing) * agree => 2,
            _ => 1,
        };
        let mut draw = |agree: f64| -> Shown { (0..3).map(|_| outcome(agree)).collect() };
        let meets = |shown: &[u16]| shown.iter().filter(|outcome| **outcome == 2).count() >= 2;
        let (matches, chance) = (20_000, 0.002);
        let mut counts = std::collections::BTreeMap::<Shown, (f64, f64)>::new();
        let mut unseen = 0.0;
        for (number, agree, positive) in [(matches, 0.8, 1.0), (3_000_000, chance, 0.0)] {
            for _ in 0..number {
                let shown = draw(agree);
                if meets(&shown) {
                    let (pairs, positives) = counts.entry(shown).or_default();
                    *pairs += 1.0;
                    *positives += positive;
                } else {
                    unseen += positive;
                }
            }
        }
        let strangers: Vec<Shown> = (0..300_000).map(|_| draw(chance)).collect();
        let groups: Vec<Group> = counts
            .iter()
            .map(|(shown, (pairs, _))| Group { shown: shown.clone(), pairs: *pairs, guess: 0.99 })
            .collect();
        let fit = fit(&Sample {
            groups: &groups,
            strangers: &strangers,
            all_pairs: 3_000_000.0,
            of_birth: &[false, false, true],
            meets: &meets,
        });
        let found: f64 = groups.iter().zip(&fit.matches).map(|(group, p)| group.pairs * p).sum();
        let positives: f64 = counts.values().map(|(_, positives)| positives).sum();
        (found / positives, fit.unseen / unseen)
    }

    #[test]
    fn matches_are_counted_seen_or_not() {
        for missing in [0.0, 0.3] {
            let (found, unseen) = counted(missing);
            assert!((found - 1.0).abs() < 0.03, "{missing}: {found}");
            assert!((unseen - 1.0).abs() < 0.04, "{missing}: {unseen}");
        }
    }
}
