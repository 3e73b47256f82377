//! An order of 0..n that is computed place by place and can be read backwards, so that nothing has to be kept.

use super::dice::hash;

/// A permutation of `0..n`.
///
/// A Feistel network over the pair (x / b, x % b) for `a * b >= n`, which adds instead of xor-ing (Black and Rogaway,
/// CT-RSA 2002); a value that lands outside `0..n` is sent through again until it lands inside, seldom more than once.
pub(super) struct Shuffle {
    n: u64,
    a: u64,
    b: u64,
    key: u64,
}

impl Shuffle {
    pub(super) fn new(n: u64, key: u64) -> Self {
        let b = n.isqrt().max(1);
        Self { n, a: n.div_ceil(b).max(1), b, key }
    }

    /// What stands at `place`.
    pub(super) fn at(&self, place: u64) -> u64 {
        assert!(place < self.n, "a place of the order");
        let mut x = self.forward(place);
        while x >= self.n {
            x = self.forward(x);
        }
        x
    }

    /// Where `item` stands: the inverse of `at`.
    pub(super) fn place_of(&self, item: u64) -> u64 {
        assert!(item < self.n, "an item of the order");
        let mut x = self.backward(item);
        while x >= self.n {
            x = self.backward(x);
        }
        x
    }

    fn forward(&self, x: u64) -> u64 {
        let (mut left, mut right) = (x / self.b, x % self.b);
        for round in 0..ROUNDS {
            left = (left + self.round(2 * round, right) % self.a) % self.a;
            right = (right + self.round(2 * round + 1, left) % self.b) % self.b;
        }
        left * self.b + right
    }

    fn backward(&self, x: u64) -> u64 {
        let (mut left, mut right) = (x / self.b, x % self.b);
        for round in (0..ROUNDS).rev() {
            right = (right + self.b - self.round(2 * round + 1, left) % self.b) % self.b;
            left = (left + self.a - self.round(2 * round, right) % self.a) % self.a;
        }
        left * self.b + right
    }

    fn round(&self, round: u64, half: u64) -> u64 {
        hash(self.key.wrapping_add(round), half)
    }
}

const ROUNDS: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_stands_at_one_place() {
        for n in [1, 2, 3, 7, 64, 1000, 1023, 4099] {
            let order = Shuffle::new(n, 99);
            let mut seen: Vec<u64> = (0..n).map(|place| order.at(place)).collect();
            assert!((0..n).all(|place| order.place_of(order.at(place)) == place), "{n}");
            seen.sort_unstable();
            assert!(seen.iter().copied().eq(0..n), "{n}");
        }
    }

    #[test]
    fn neighbours_do_not_stay_neighbours() {
        let order = Shuffle::new(10_000, 1);
        let close = (1..10_000).filter(|place| order.at(*place).abs_diff(order.at(place - 1)) < 10).count();
        assert!(close < 60, "{close}: about 20 by chance");
    }
}
