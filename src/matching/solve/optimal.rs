//! The one-to-one assignment of greatest total similarity, in each connected component by itself.

use std::collections::HashMap;

use pathfinding::kuhn_munkres::kuhn_munkres;
use pathfinding::matrix::Matrix;

use super::{Candidate, OneToOne};

/// Cells of a component's matrix at most: its time grows with the cube of its side (a second or two at this size).
const MOST_CELLS: usize = 1 << 20;
/// Similarities are compared in steps of 2^-40.
const STEP: f64 = (1u64 << 40) as f64;

/// What was kept, and of how many components the greedy solution had to do.
pub struct Optimal {
    pub kept: Vec<Candidate>,
    pub too_large: usize,
}

/// Solves candidates of two files that come surest first.
pub fn optimal(candidates: &[Candidate]) -> Optimal {
    let mut optimal = Optimal { kept: Vec::new(), too_large: 0 };
    for component in components(candidates) {
        let [rows, columns] = [0, 1].map(|side| Numbering::of(&component, side));
        if rows.count() * columns.count() > MOST_CELLS {
            let mut greedy = OneToOne::default();
            optimal.kept.extend(component.into_iter().filter(|pair| greedy.keeps(pair)));
            optimal.too_large += 1;
        } else {
            optimal.kept.extend(assignment(&component, &rows, &columns));
        }
    }
    optimal.kept.sort_unstable();
    optimal
}

/// Candidates that are linked through common records, together; each part in the order of all.
fn components(candidates: &[Candidate]) -> Vec<Vec<Candidate>> {
    let [rows, columns] = [0, 1].map(|side| Numbering::of(candidates, side));
    let mut roots: Vec<usize> = (0..rows.count() + columns.count()).collect();
    let node = |pair: &Candidate| (rows.number(pair, 0), rows.count() + columns.number(pair, 1));
    for pair in candidates {
        let (row, column) = node(pair);
        let (one, other) = (root(&mut roots, row), root(&mut roots, column));
        roots[one.max(other)] = one.min(other);
    }
    let mut parts: HashMap<usize, usize> = HashMap::new();
    let mut components: Vec<Vec<Candidate>> = Vec::new();
    for pair in candidates {
        let part = *parts.entry(root(&mut roots, node(pair).0)).or_insert_with(|| {
            components.push(Vec::new());
            components.len() - 1
        });
        components[part].push(*pair);
    }
    components
}

fn root(roots: &mut [usize], mut at: usize) -> usize {
    while roots[at] != at {
        roots[at] = roots[roots[at]];
        at = roots[at];
    }
    at
}

/// The records of one side, numbered as they come.
struct Numbering(HashMap<u32, usize>);

impl Numbering {
    fn of(candidates: &[Candidate], side: usize) -> Self {
        let mut numbers = HashMap::new();
        for pair in candidates {
            let next = numbers.len();
            numbers.entry(pair.records[side]).or_insert(next);
        }
        Self(numbers)
    }

    fn count(&self) -> usize {
        self.0.len()
    }

    fn number(&self, pair: &Candidate, side: usize) -> usize {
        self.0[&pair.records[side]]
    }
}

fn assignment(component: &[Candidate], rows: &Numbering, columns: &Numbering) -> Vec<Candidate> {
    let cell = |pair: &Candidate| (rows.number(pair, 0), columns.number(pair, 1));
    // no pair is worth nothing; a pair of similarity 0 is worth more than none
    let worth = |pair: &Candidate| (pair.score * STEP).round() as i64 + 1;
    let wide = rows.count() <= columns.count();
    let turned = |(row, column): (usize, usize)| if wide { (row, column) } else { (column, row) };
    let (height, width) = turned((rows.count(), columns.count()));
    let mut matrix = Matrix::new(height, width, 0i64);
    for pair in component {
        matrix[turned(cell(pair))] = worth(pair);
    }
    let (_, assigned) = kuhn_munkres(&matrix);
    let kept = component.iter().filter(|pair| {
        let (row, column) = turned(cell(pair));
        assigned[row] == column
    });
    kept.copied().collect()
}
