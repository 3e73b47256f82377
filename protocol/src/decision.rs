//! From what two records show to a band: a weighted sum, cut at two thresholds (SPEC 7).

use serde::{Deserialize, Serialize};

use crate::schema::{Identifies, Schema};

/// What a pair's tokens of one pass show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// One side has no token: no evidence.
    Missing,
    Equal,
    Unequal,
}

/// How sure a match is. The only thing about a pair's likeness that ever leaves the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "describe", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Band {
    Exact,
    Repaired,
    Probable,
    /// Releases nothing: to be confirmed by other means.
    Possible,
}

impl Schema {
    // SPEC 7.1  bias + Σ weights of the passes seen + Σ weights of the filters' bands
    /// `passes` holds one entry a pass; `distances` one normalised Hamming distance a filter, where both sides have it.
    pub fn score(&self, passes: &[Seen], distances: &[Option<f64>]) -> f64 {
        let weight = |(pass, seen): (&crate::schema::Pass, &Seen)| match seen {
            Seen::Missing => 0.0,
            Seen::Equal => pass.equal,
            Seen::Unequal => pass.unequal,
        };
        let passes: f64 = self.passes.iter().zip(passes).map(weight).sum();
        let distance = |(filter, distance): (&crate::schema::Filter, &Option<f64>)| {
            let distance = (*distance)?;
            let band = filter.bands.iter().find(|band| distance <= band.at_most);
            Some(band.map_or(filter.beyond, |band| band.weight))
        };
        let filters: f64 = self.filters.iter().zip(distances).filter_map(distance).sum();
        self.decision.bias + passes + filters
    }

    // SPEC 7.2  below `possible` there is no match; an identifying pass that agrees names the band of a match
    pub fn band(&self, score: f64, passes: &[Seen]) -> Option<Band> {
        if score < self.decision.possible {
            return None;
        }
        if score < self.decision.probable {
            return Some(Band::Possible);
        }
        let agrees = |kind| {
            let mut pairs = self.passes.iter().zip(passes);
            pairs.any(|(pass, seen)| pass.identifies == Some(kind) && *seen == Seen::Equal)
        };
        Some(if agrees(Identifies::Exact) {
            Band::Exact
        } else if agrees(Identifies::Repaired) {
            Band::Repaired
        } else {
            Band::Probable
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Schema {
        Schema::parse(
            r#"
            name = "test"
            normalisation = "norm-v1"
            profile = "cohort"
            decision = { bias = -3.0, possible = 0.0, probable = 2.0 }
            field = [{ name = "id", kind = "digits" }, { name = "name", kind = "words" }]
            [[pass]]
            name = "id"
            of = ["id.number"]
            identifies = "exact"
            equal = 4.0
            unequal = -5.0
            [[pass]]
            name = "name"
            of = ["name.text"]
            equal = 3.5
            unequal = -1.0
            [[filter]]
            name = "name-in-id"
            cohort = "id"
            fields = ["name"]
            bits = 1024
            k = 20
            t = 8
            bands = [{ at-most = 0.1, weight = 2.0 }, { at-most = 0.3, weight = 0.5 }]
            beyond = -2.0
            "#,
        )
        .unwrap()
    }

    #[track_caller]
    fn check(passes: [Seen; 2], distance: Option<f64>, score: f64, band: Option<Band>) {
        let got = schema().score(&passes, &[distance]);
        assert!((got - score).abs() < 1e-9, "{got}");
        assert_eq!(schema().band(got, &passes), band);
    }

    #[test]
    fn evidence_adds_up_and_missing_is_none() {
        use Seen::{Equal, Missing, Unequal};
        check([Equal, Equal], Some(0.1), 6.5, Some(Band::Exact));
        check([Equal, Unequal], Some(0.4), -2.0, None);
        check([Equal, Missing], None, 1.0, Some(Band::Possible));
        check([Missing, Equal], None, 0.5, Some(Band::Possible));
        check([Missing, Missing], None, -3.0, None);
        check([Equal, Missing], Some(0.2), 1.5, Some(Band::Possible));
    }
}
