//! The one-to-one assignment of greatest total similarity, in each connected component by itself.

use std::collections::HashMap;

use pathfinding::kuhn_munkres::kuhn_munkres;
use pathfinding::matrix::Matrix;

use super::{Candidate, OneToOne, Record};

/// Cells of a component's matrix at most: its time grows with the cube of its side (a second or two at this size).
const MOST_CELLS: usize = 1 << 20;
/// Bytes that a component takes at most while it is solved: its pairs, its matrix, the numbers of its records.
pub const MEMORY: u64 = MOST_CELLS as u64 * (24 + 8 + 48);
/// Similarities are compared in steps of 2^-40.
const STEP: f64 = (1u64 << 40) as f64;

/// Which candidates are linked with which through common records.
#[derive(Default)]
pub struct Components {
    nodes: HashMap<Record, u32>,
    /// Of each node another of its component, or itself.
    links: Vec<u32>,
}

impl Components {
    pub fn link(&mut self, pair: &Candidate) {
        let [one, other] = [0, 1].map(|side| {
            let next = u32::try_from(self.links.len()).expect("fewer than 2^32 records");
            let node = *self.nodes.entry(pair.record(side)).or_insert(next);
            if node == next {
                self.links.push(node);
            }
            self.root(node)
        });
        self.links[one.max(other) as usize] = one.min(other);
    }

    /// The component of a pair that was linked, by a number that is the same for all of it when all are linked.
    pub fn of(&mut self, pair: &Candidate) -> u32 {
        self.root(self.nodes[&pair.record(0)])
    }

    fn root(&mut self, mut at: u32) -> u32 {
        while self.links[at as usize] != at {
            self.links[at as usize] = self.links[self.links[at as usize] as usize];
            at = self.links[at as usize];
        }
        at
    }
}

/// What was kept, and of how many components the greedy solution had to do.
#[derive(Default)]
pub struct Optimal {
    pub kept: Vec<Candidate>,
    pub too_large: usize,
}

/// Solves candidates of two files that come with their component, one component after the other, each surest first.
pub fn optimal<E>(candidates: impl IntoIterator<Item = Result<(u32, Candidate), E>>) -> Result<Optimal, E> {
    let mut optimal = Optimal::default();
    let mut open: Option<(u32, Assignment)> = None;
    for candidate in candidates {
        let (component, pair) = candidate?;
        if let Some((_, done)) = open.take_if(|(of, _)| *of != component) {
            done.finish(&mut optimal);
        }
        open.get_or_insert_with(|| (component, Assignment::default())).1.add(pair);
    }
    if let Some((_, done)) = open {
        done.finish(&mut optimal);
    }
    optimal.kept.sort_unstable();
    Ok(optimal)
}

/// A component's candidates: all of them, or where they are too many, what is kept so far.
#[derive(Default)]
struct Assignment {
    waiting: Vec<Candidate>,
    too_large: Option<(OneToOne, Vec<Candidate>)>,
}

impl Assignment {
    fn add(&mut self, pair: Candidate) {
        // there are no more pairs than cells
        if self.waiting.len() == MOST_CELLS {
            self.be_greedy();
        }
        self.waiting.push(pair);
    }

    fn be_greedy(&mut self) -> &mut Vec<Candidate> {
        let (greedy, kept) = self.too_large.get_or_insert_default();
        kept.extend(self.waiting.drain(..).filter(|pair| greedy.keeps(pair)));
        kept
    }

    fn finish(mut self, optimal: &mut Optimal) {
        let [rows, columns] = [0, 1].map(|side| Numbering::of(&self.waiting, side));
        if self.too_large.is_some() || rows.count() * columns.count() > MOST_CELLS {
            optimal.kept.append(self.be_greedy());
            optimal.too_large += 1;
        } else {
            optimal.kept.extend(assignment(&self.waiting, &rows, &columns));
        }
    }
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
