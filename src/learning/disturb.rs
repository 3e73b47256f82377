//! Rows as somebody else would have typed them: the errors that records of one person show, drawn at known rates.
//!
//! A copy is clean, worn or ruined. Errors by kind: letters and digits substituted, dropped, doubled or swapped; words cut
//! short or joined; day and month exchanged; first days of a year; names exchanged; values missing, or another person's
//! (a move, a marriage, a new telephone).

use hedui_protocol::schema::{Kind, Schema};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// Draws copies. The same seed draws the same.
pub struct Disturber<'s> {
    schema: &'s Schema,
    rng: ChaCha8Rng,
}

/// How a copy is: one in so many fields is wrong, missing, or another's.
struct Wear {
    wrong: f64,
    missing: f64,
    others: f64,
}

/// Shares of copies, and their wear. The ruined ones are what registers of many hands hold.
const WEARS: [(f64, Wear); 3] = [
    (0.4, Wear { wrong: 0.08, missing: 0.03, others: 0.02 }),
    (0.35, Wear { wrong: 0.25, missing: 0.08, others: 0.06 }),
    (0.25, Wear { wrong: 0.6, missing: 0.15, others: 0.08 }),
];
/// Copies in which two fields of words are exchanged.
const EXCHANGED: f64 = 0.04;

impl<'s> Disturber<'s> {
    pub fn new(schema: &'s Schema, seed: u64) -> Self {
        Self { schema, rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// A copy of `row`; `stranger` lends it what is another's.
    pub fn copy(&mut self, row: &[String], stranger: &[String]) -> Vec<String> {
        let mut left = self.share();
        let wear = WEARS.iter().find(|(share, _)| {
            left -= share;
            left < 0.0
        });
        let wear = &wear.unwrap_or(&WEARS[0]).1;
        let mut copy: Vec<String> = row.to_vec();
        for (at, field) in self.schema.fields.iter().enumerate() {
            let draw = self.share();
            if draw < wear.missing {
                copy[at].clear();
            } else if draw < wear.missing + wear.others {
                copy[at].clone_from(&stranger[at]);
            } else if draw < wear.missing + wear.others + wear.wrong {
                copy[at] = self.mistyped(field.kind, &row[at]);
            }
        }
        if self.share() < EXCHANGED {
            let words: Vec<usize> = (0..copy.len()).filter(|at| self.is_word(*at)).take(2).collect();
            if let [one, other] = words[..] {
                copy.swap(one, other);
            }
        }
        copy
    }

    fn is_word(&self, at: usize) -> bool {
        let field = &self.schema.fields[at];
        field.kind == Kind::Words && field.alias_of.is_none()
    }

    fn mistyped(&mut self, kind: Kind, value: &str) -> String {
        if value.is_empty() {
            return String::new();
        }
        match kind {
            Kind::Date => self.date(value),
            Kind::Sex => match value.chars().next() {
                Some('f' | 'F' | '女' | '2') => "m".into(),
                _ => "f".into(),
            },
            Kind::Words | Kind::Address | Kind::AddressCn | Kind::NameCn if self.share() < 0.15 => {
                self.shortened(value)
            }
            _ => {
                let once = self.typo(value);
                if self.share() < 0.3 { self.typo(&once) } else { once }
            }
        }
    }

    fn date(&mut self, value: &str) -> String {
        let groups: Vec<&str> = value.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty()).collect();
        let (year, rest): (&str, Vec<&str>) = match groups.as_slice() {
            [eight] if eight.len() == 8 => (&eight[..4], vec![&eight[4..6], &eight[6..]]),
            [year, month, day] if year.len() == 4 => (year, vec![month, day]),
            [day, month, year] if year.len() == 4 => (year, vec![month, day]),
            _ => return self.typo(value),
        };
        let draw = self.share();
        if draw < 0.15 {
            format!("{year}-{:0>2}-{:0>2}", rest[1], rest[0])
        } else if draw < 0.2 {
            format!("{year}-01-01")
        } else {
            self.typo(value)
        }
    }

    /// One slip of the fingers: another character, one too few, one too many, or two exchanged.
    fn typo(&mut self, value: &str) -> String {
        let mut characters: Vec<char> = value.chars().collect();
        let places: Vec<usize> = (0..characters.len()).filter(|at| characters[*at].is_alphanumeric()).collect();
        if places.is_empty() {
            return value.to_owned();
        }
        let at = places[self.below(places.len())];
        let other = self.like(characters[at]);
        match self.below(10) {
            0..=4 => characters[at] = other,
            5 | 6 => drop(characters.remove(at)),
            7 | 8 => characters.insert(at, other),
            _ if at + 1 < characters.len() => characters.swap(at, at + 1),
            _ => characters[at] = other,
        }
        characters.into_iter().collect()
    }

    fn shortened(&mut self, value: &str) -> String {
        let words: Vec<&str> = value.split_whitespace().collect();
        if words.len() > 1 {
            return if self.share() < 0.5 { words.concat() } else { words[..words.len() - 1].join(" ") };
        }
        let keep = value.chars().count().div_ceil(2).max(1);
        value.chars().take(keep).collect()
    }

    /// Another character of the same sort.
    fn like(&mut self, c: char) -> char {
        let of = |letters: &str, at: usize| letters.chars().nth(at).unwrap_or(c);
        match c {
            '0'..='9' => of("0123456789", self.below(10)),
            'a'..='z' => of("abcdefghijklmnopqrstuvwxyz", self.below(26)),
            'A'..='Z' => of("ABCDEFGHIJKLMNOPQRSTUVWXYZ", self.below(26)),
            // a neighbour in the code chart: for Han characters one of the same radical
            _ => char::from_u32(u32::from(c) + 1).unwrap_or(c),
        }
    }

    fn share(&mut self) -> f64 {
        f64::from(self.rng.next_u32()) / f64::from(u32::MAX)
    }

    fn below(&mut self, bound: usize) -> usize {
        ((u64::from(self.rng.next_u32()) * bound as u64) >> 32) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_worn_at_the_rates_said_and_the_same_for_a_seed() {
        let schema = Schema::parse(Schema::preset("person").unwrap()).unwrap();
        let row: Vec<String> = schema
            .fields
            .iter()
            .map(|field| match field.kind {
                Kind::Date => "1970-03-14".into(),
                Kind::Digits | Kind::Phone => "5550123".into(),
                _ => "miller lane".into(),
            })
            .collect();
        let stranger = vec!["stranger".to_owned(); row.len()];
        let copies = |seed| {
            let mut disturber = Disturber::new(&schema, seed);
            (0..2000).map(|_| disturber.copy(&row, &stranger)).collect::<Vec<_>>()
        };
        let all = copies(1);
        assert_eq!(all, copies(1));
        assert_ne!(all, copies(2));
        let cells = (all.len() * row.len()) as f64;
        let share = |is: &dyn Fn(&str, &str) -> bool| {
            all.iter().map(|copy| copy.iter().zip(&row).filter(|(got, was)| is(got, was)).count()).sum::<usize>() as f64
                / cells
        };
        let missing = share(&|got, _| got.is_empty());
        assert!((missing - 0.0775).abs() < 0.01, "{missing}");
        let others = share(&|got, _| got == "stranger");
        assert!((others - 0.049).abs() < 0.01, "{others}");
        let clean = share(&|got, was| got == was);
        assert!((0.58..0.7).contains(&clean), "{clean}");
    }
}
