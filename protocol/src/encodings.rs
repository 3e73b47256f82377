//! What the server sees of one person: tokens and diffused filters.

use std::fmt;

use crate::ids::ContentHash;

/// SPEC 5.3  A keyed token: equal only for equal values of one pass, agency and manifest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub [u8; Token::BYTES]);

impl Token {
    pub const BYTES: usize = 16;
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The encodings of one person for one agency. Personal data: it does not print itself.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Encodings {
    /// Pass number and token, in ascending order of pass; a pass may have several tokens.
    pub tokens: Vec<(u8, Token)>,
    /// Filter number and bits, in ascending order of filter; bit `i` is bit `i % 8` of byte `i / 8`.
    pub filters: Vec<(u8, Vec<u8>)>,
}

impl fmt::Debug for Encodings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encodings(..)")
    }
}

/// Where the bytes stop being encodings; never what they say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedEncodings {
    #[error("the encodings end early")]
    Truncated,
    #[error("the encodings are followed by {0} more bytes")]
    Trailing(usize),
    #[error("pass or filter numbers are not in ascending order, or beyond the schema")]
    Order,
    #[error("filter {0} has another length than the schema says")]
    FilterLength(u8),
}

/// What of a schema the layout needs: how many passes, and each filter's length in bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shape {
    pub passes: u8,
    pub filter_bytes: Vec<usize>,
}

impl Encodings {
    // SPEC 5.4  u8 count, then (u8 pass ‖ 16 bytes) each; u8 count, then (u8 filter ‖ bits) each
    pub fn to_bytes(&self) -> Vec<u8> {
        let filters: usize = self.filters.iter().map(|(_, bits)| 1 + bits.len()).sum();
        let mut bytes = Vec::with_capacity(2 + self.tokens.len() * (1 + Token::BYTES) + filters);
        bytes.push(u8::try_from(self.tokens.len()).expect("a row has at most 255 tokens"));
        for (pass, token) in &self.tokens {
            bytes.push(*pass);
            bytes.extend_from_slice(&token.0);
        }
        bytes.push(u8::try_from(self.filters.len()).expect("a schema has at most 255 filters"));
        for (filter, bits) in &self.filters {
            bytes.push(*filter);
            bytes.extend_from_slice(bits);
        }
        bytes
    }

    pub fn parse(bytes: &[u8], shape: &Shape) -> Result<Self, MalformedEncodings> {
        let mut rest = bytes;
        let mut encodings = Self::default();
        let tokens = take(&mut rest, 1)?[0];
        encodings.tokens.reserve(usize::from(tokens));
        for _ in 0..tokens {
            let entry = take(&mut rest, 1 + Token::BYTES)?;
            let token = Token(entry[1..].try_into().expect("sixteen bytes were taken"));
            encodings.tokens.push((entry[0], token));
        }
        for _ in 0..take(&mut rest, 1)?[0] {
            let filter = take(&mut rest, 1)?[0];
            let length = *shape.filter_bytes.get(usize::from(filter)).ok_or(MalformedEncodings::Order)?;
            encodings.filters.push((filter, take(&mut rest, length)?.to_vec()));
        }
        if !rest.is_empty() {
            return Err(MalformedEncodings::Trailing(rest.len()));
        }
        let ascending = encodings.tokens.is_sorted_by_key(|(pass, _)| *pass)
            && encodings.tokens.last().is_none_or(|(pass, _)| *pass < shape.passes)
            && encodings.filters.is_sorted_by(|(one, _), (next, _)| one < next);
        if ascending { Ok(encodings) } else { Err(MalformedEncodings::Order) }
    }

    /// The tokens of one pass.
    pub fn of_pass(&self, pass: u8) -> impl Iterator<Item = &Token> {
        let start = self.tokens.partition_point(|(p, _)| *p < pass);
        self.tokens[start..].iter().take_while(move |(p, _)| *p == pass).map(|(_, token)| token)
    }
}

fn take<'b>(rest: &mut &'b [u8], length: usize) -> Result<&'b [u8], MalformedEncodings> {
    let (head, tail) = rest.split_at_checked(length).ok_or(MalformedEncodings::Truncated)?;
    *rest = tail;
    Ok(head)
}

/// SPEC 9.3  Binds a subject of a ticket to its encodings for each agency, in the ticket's order.
pub fn subject_hash<'a>(encodings: impl Iterator<Item = (&'a str, &'a [u8])>) -> ContentHash {
    let bound = encodings.fold(crate::bytes::Bound::new("hedui v1 subject encodings"), |bound, (agency, bytes)| {
        bound.and(agency.as_bytes()).and(bytes)
    });
    ContentHash::of(bound.as_slice())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shape() -> Shape {
        Shape { passes: 3, filter_bytes: vec![2, 4] }
    }

    fn sample() -> Encodings {
        Encodings {
            tokens: vec![(0, Token([1; 16])), (2, Token([2; 16])), (2, Token([3; 16]))],
            filters: vec![(1, vec![9; 4])],
        }
    }

    #[test]
    fn what_was_written_reads_back() {
        assert_eq!(Encodings::parse(&sample().to_bytes(), &shape()), Ok(sample()));
        assert_eq!(sample().of_pass(2).count(), 2);
        assert_eq!(sample().of_pass(1).count(), 0);
    }

    #[test]
    fn a_cut_anywhere_is_refused() {
        let bytes = sample().to_bytes();
        for length in 0..bytes.len() {
            assert!(Encodings::parse(&bytes[..length], &shape()).is_err(), "{length}");
        }
    }

    #[test]
    fn numbers_out_of_order_or_beyond_the_schema_are_refused() {
        let mut wrong = sample();
        wrong.tokens.swap(0, 1);
        assert_eq!(Encodings::parse(&wrong.to_bytes(), &shape()), Err(MalformedEncodings::Order));
        let mut wrong = sample();
        wrong.tokens[2].0 = 3;
        assert_eq!(Encodings::parse(&wrong.to_bytes(), &shape()), Err(MalformedEncodings::Order));
    }

    proptest! {
        #[test]
        fn any_bytes_parse_to_themselves_or_not_at_all(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(encodings) = Encodings::parse(&bytes, &shape()) {
                prop_assert_eq!(encodings.to_bytes(), bytes);
            }
        }
    }
}
