//! What a threshold gives: estimated precision and recall, with intervals, from pairs of which each is a match with a
//! known probability.

use serde::Serialize;

/// A pair that meets in some pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    pub score: f64,
    /// The probability that it is a match.
    pub p: f64,
}

/// A share with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    pub estimate: f64,
    pub low: f64,
    pub high: f64,
}

/// What pairs from a threshold on come to.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    pub threshold: f64,
    pub pairs: u64,
    pub precision: Estimate,
    pub recall: Estimate,
    pub f1: f64,
    /// False matches that a million rows of A would bring against this B.
    pub false_per_million: f64,
}

/// Pairs of a score within one bit.
#[derive(Clone, Debug, Serialize)]
pub struct Bar {
    pub from: f64,
    pub pairs: u64,
    pub matches: f64,
}

/// Pairs of like score, of which a reviewed sample says how many are matches.
#[derive(Clone, Copy, Default)]
struct Stratum {
    pairs: f64,
    matches: f64,
    /// Reviewed pairs, and those that are matches.
    reviewed: f64,
    confirmed: f64,
}

/// Everything that is known of the pairs, ready for questions.
pub struct Estimates {
    /// From the highest score down.
    pairs: Vec<Scored>,
    strata: Vec<Stratum>,
    missed: Missed,
    queries: f64,
}

/// Expected matches outside of the pairs that an estimate is about, and the standard deviation of that.
#[derive(Clone, Copy, Debug)]
pub struct Missed {
    pub matches: f64,
    pub deviation: f64,
}

impl Missed {
    /// A number that is only inferred may be wrong by half, and has its chance besides, as every count has (Poisson).
    pub fn inferred(matches: f64) -> Self {
        Self { matches, deviation: (matches / 2.0).hypot((matches + 1.0).sqrt()) }
    }
}

/// Bits at which a stratum begins; the first begins below all scores.
const STRATA: [f64; 10] = [-4.0, -2.0, 0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 16.0];
/// Reviewed pairs that the model's word on a stratum is worth.
const MODEL_WORTH: f64 = 20.0;
/// A model is never surer than this that all pairs of a stratum match, or that none does; nor than one pair more than there
/// are could tell it.
const SUREST: f64 = 2e-4;
/// Deviations of a 95 % interval.
const DEVIATIONS: f64 = 1.96;
/// Thresholds that are looked at, in bits.
const STEP: f64 = 0.5;
/// Scores beyond these are not told apart.
const LOWEST: f64 = -12.0;
const HIGHEST: f64 = 24.0;

impl Estimates {
    /// `reviewed` are pairs of which somebody has said whether they match; `queries` is the number of rows of A.
    pub fn new(mut pairs: Vec<Scored>, reviewed: &[(Scored, bool)], queries: f64) -> Self {
        let mut strata = vec![Stratum::default(); STRATA.len() + 1];
        for pair in &pairs {
            let stratum = &mut strata[stratum(pair.score)];
            stratum.pairs += 1.0;
            stratum.matches += pair.p;
        }
        for (pair, matches) in reviewed {
            let stratum = &mut strata[stratum(pair.score)];
            stratum.reviewed += 1.0;
            stratum.confirmed += f64::from(u8::from(*matches));
        }
        pairs.iter_mut().for_each(|pair| pair.p = strata[stratum(pair.score)].corrected(pair.p));
        pairs.sort_by(|one, other| other.score.total_cmp(&one.score));
        Self { pairs, strata, missed: Missed::inferred(0.0), queries }
    }

    /// The same, with matches outside of the pairs.
    pub fn missing(self, missed: Missed) -> Self {
        Self { missed, ..self }
    }

    /// Expected matches among the pairs and outside of them.
    pub fn matches(&self) -> f64 {
        self.found(f64::NEG_INFINITY).0 + self.missed.matches
    }

    /// One point for every threshold that is looked at.
    pub fn curve(&self) -> Vec<Point> {
        let steps = ((HIGHEST - LOWEST) / STEP) as usize;
        let points = (0..=steps).map(|step| self.at(LOWEST + step as f64 * STEP));
        points.take_while(|point| point.pairs > 0).collect()
    }

    pub fn at(&self, threshold: f64) -> Point {
        let pairs = self.pairs.partition_point(|pair| pair.score >= threshold);
        let (found, variance) = self.found(threshold);
        let (all_found, all_variance) = self.found(f64::NEG_INFINITY);
        let missed = all_found - found + self.missed.matches;
        let missed_variance = (all_variance - variance).max(0.0) + self.missed.deviation.powi(2);
        let count = pairs.max(1) as f64;
        let precision = interval(found / count, variance.sqrt() / count);
        // x / (x + y) of independent x and y, to first order
        let total = (found + missed).max(f64::MIN_POSITIVE);
        let spread = (missed.powi(2) * variance + found.powi(2) * missed_variance).sqrt() / total.powi(2);
        let recall = interval(found / total, spread);
        let f1 = 2.0 * found / (count + total);
        let false_per_million = (pairs as f64 - found).max(0.0) / self.queries * 1e6;
        Point { threshold, pairs: pairs as u64, precision, recall, f1, false_per_million }
    }

    pub fn histogram(&self) -> Vec<Bar> {
        let count = (HIGHEST - LOWEST) as usize;
        let mut bars: Vec<Bar> =
            (0..count).map(|at| Bar { from: LOWEST + at as f64, pairs: 0, matches: 0.0 }).collect();
        for pair in &self.pairs {
            let bar = &mut bars[((pair.score - LOWEST).max(0.0) as usize).min(count - 1)];
            bar.pairs += 1;
            bar.matches += pair.p;
        }
        bars
    }

    /// Expected matches from a threshold on, and the variance of that.
    fn found(&self, threshold: f64) -> (f64, f64) {
        let above = self.pairs.partition_point(|pair| pair.score >= threshold);
        let mut of_strata = vec![(0.0, 0.0); self.strata.len()];
        for pair in &self.pairs[..above] {
            let (pairs, matches) = &mut of_strata[stratum(pair.score)];
            *pairs += 1.0;
            *matches += pair.p;
        }
        let surest = SUREST.max(1.0 / (self.pairs.len() as f64 + 2.0));
        let variance = of_strata.iter().zip(&self.strata).map(|((pairs, _), stratum)| stratum.variance(*pairs, surest));
        (of_strata.iter().map(|(_, matches)| matches).sum(), variance.sum())
    }
}

impl Stratum {
    /// The model's share of matches.
    fn share(&self) -> f64 {
        self.matches / self.pairs.max(1.0)
    }

    /// The share of matches after the review: the mean of a beta distribution that starts from the model's share.
    fn reviewed_share(&self) -> f64 {
        (MODEL_WORTH * self.share() + self.confirmed) / (MODEL_WORTH + self.reviewed)
    }

    /// A pair's probability, moved as the review moves its stratum.
    fn corrected(&self, p: f64) -> f64 {
        let (model, mean) = (self.share(), self.reviewed_share());
        if mean <= model {
            p * mean / model.max(f64::MIN_POSITIVE)
        } else {
            1.0 - (1.0 - p) * (1.0 - mean) / (1.0 - model)
        }
    }

    /// The variance of the number of matches among so many of its pairs: all may be misjudged together.
    fn variance(&self, pairs: f64, surest: f64) -> f64 {
        let mean = self.reviewed_share().clamp(surest, 1.0 - surest);
        pairs.powi(2) * mean * (1.0 - mean) / (MODEL_WORTH + self.reviewed + 1.0)
    }
}

/// The number of the stratum that a score is in.
pub fn stratum(score: f64) -> usize {
    STRATA.partition_point(|from| *from <= score)
}

fn interval(estimate: f64, deviation: f64) -> Estimate {
    let reach = DEVIATIONS * deviation;
    Estimate { estimate, low: (estimate - reach).max(0.0), high: (estimate + reach).min(1.0) }
}

/// Thresholds that are advised.
#[derive(Clone, Debug, Serialize)]
pub struct Advice {
    /// Where precision and recall together are best: from here on a pair is worth a look.
    pub possible: Point,
    /// Where at most one in a thousand is expected to be false: from here on a match may release.
    pub probable: Point,
}

/// False matches among those that may release.
const RELEASED_FALSE: f64 = 0.001;

/// What the curve advises; none where nothing meets.
pub fn advise(curve: &[Point]) -> Option<Advice> {
    let possible = curve.iter().max_by(|one, other| one.f1.total_cmp(&other.f1))?;
    let sure =
        |point: &&Point| point.threshold >= possible.threshold && point.precision.estimate >= 1.0 - RELEASED_FALSE;
    let probable = curve.iter().find(sure).or(curve.last())?;
    Some(Advice { possible: possible.clone(), probable: probable.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs() -> Vec<Scored> {
        let many = |count: usize, score: f64, p: f64| std::iter::repeat_n(Scored { score, p }, count);
        many(900, 9.0, 1.0).chain(many(100, 1.0, 0.6)).chain(many(400, -3.0, 0.1)).collect()
    }

    #[test]
    fn expected_matches_give_precision_and_recall() {
        let point = Estimates::new(pairs(), &[], 1000.0).missing(Missed::inferred(40.0)).at(0.0);
        assert_eq!(point.pairs, 1000);
        assert!((point.precision.estimate - 0.96).abs() < 1e-9, "{point:?}");
        assert!((point.recall.estimate - 960.0 / 1040.0).abs() < 1e-9, "{point:?}");
        assert!((point.false_per_million - 40_000.0).abs() < 1e-6, "{point:?}");
        assert!(point.precision.low < 0.96 && point.precision.high > 0.96);
    }

    #[test]
    fn a_review_moves_its_stratum_and_narrows_the_interval() {
        let reviewed: Vec<(Scored, bool)> = (0..80).map(|at| (Scored { score: 1.0, p: 0.6 }, at < 16)).collect();
        // so many that how few they are does not count
        let pairs = pairs().repeat(10);
        let (before, after) =
            (Estimates::new(pairs.clone(), &[], 1.0).at(0.0), Estimates::new(pairs, &reviewed, 1.0).at(0.0));
        assert!((after.precision.estimate - 0.928).abs() < 1e-9, "{after:?}");
        let width = |estimate: Estimate| estimate.high - estimate.low;
        assert!(width(after.precision) < width(before.precision) / 2.0, "{before:?} {after:?}");
    }

    #[test]
    fn few_pairs_tell_little() {
        let sure = |count: usize| vec![Scored { score: 20.0, p: 1.0 }; count];
        let low = |count: usize| {
            let point = Estimates::new(sure(count), &[], 1.0).missing(Missed::inferred(0.0)).at(0.0);
            (point.precision.low, point.recall.low)
        };
        let ((precision_of_one, recall_of_one), (precision, recall)) = (low(1), low(10_000));
        assert!(precision_of_one < 0.85 && recall_of_one < 0.1, "{precision_of_one} {recall_of_one}");
        assert!(precision > 0.99 && recall > 0.999, "{precision} {recall}");
    }

    #[test]
    fn advice_is_the_best_f1_and_the_first_sure_threshold() {
        let curve = Estimates::new(pairs(), &[], 1.0).curve();
        let advice = advise(&curve).unwrap();
        assert!((-2.0..=1.0).contains(&advice.possible.threshold), "{advice:?}");
        assert!((1.0..=9.0).contains(&advice.probable.threshold) && advice.probable.precision.estimate == 1.0);
        assert!(advise(&[]).is_none());
    }
}
