//! The work of a comparison, tile by tile, on all threads; what is found comes to one place.

use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};

use rayon::ThreadPool;
use rayon::prelude::*;

use super::checkpoint::Checkpoint;
use crate::failure::Outcome;
use crate::matching::exhaustive::{Comparison, Filters, Kernel, Limit, TILE};
use crate::matching::solve::Candidate;
use crate::terminal::{self, Interrupt};

/// Pairs that are handed over together: a tile may find more than memory holds.
const PIECE: usize = 1 << 14;
/// Pieces that may wait for being taken.
const WAITING: usize = 2;

/// What is compared with what.
pub struct Plan {
    pub filters: Vec<Filters>,
    pub limit: Limit,
    /// The records of a file with one another as well.
    pub within: bool,
    pub kernel: Kernel,
}

/// Pairs of records that were compared.
pub struct Work {
    /// In all.
    pub comparisons: u64,
    /// Of those by an earlier run, which a checkpoint remembers.
    pub resumed: u64,
}

/// What a tile has found, or a part of it: the pieces of a tile come in order, those of several in turns.
pub struct Piece {
    pub files: [u16; 2],
    pub tile: u32,
    /// From 0 in each tile.
    pub number: u32,
    /// The tile is done.
    pub last: bool,
    pub pairs: Vec<Candidate>,
}

impl Plan {
    /// Each two files that are compared, by number.
    fn comparisons(&self) -> Vec<[u16; 2]> {
        let files = self.filters.len() as u16;
        let all = (0..files).flat_map(|a| (a..files).map(move |b| [a, b]));
        all.filter(|[a, b]| self.within || a != b).collect()
    }

    fn comparison(&self, [a, b]: [u16; 2]) -> Comparison {
        let [one, other] = [a, b].map(|file| &self.filters[usize::from(file)]);
        match a == b {
            true => Comparison::within(one, self.limit, self.kernel),
            false => Comparison::between(one, other, self.limit, self.kernel),
        }
    }

    /// Pairs of records that are compared in all.
    fn pairs(&self) -> u64 {
        let pairs = |[a, b]: &[u16; 2]| {
            let [one, other] = [a, b].map(|file| self.filters[usize::from(*file)].len() as u64);
            if a == b { one * one.saturating_sub(1) / 2 } else { one * other }
        };
        self.comparisons().iter().map(pairs).sum()
    }

    /// Bytes that the filters take: as they are, and those of two files sorted, one of them turned as well; the probes of a
    /// tile for each thread; and pieces: one that each thread fills, those that wait, and one that is being taken.
    pub fn memory(&self, threads: usize) -> u64 {
        let sizes: Vec<u64> = self.filters.iter().map(|all| (all.len() * all.length() / 8) as u64).collect();
        let pieces = (threads + WAITING + 1) * PIECE * size_of::<Candidate>();
        let probes = threads * TILE * self.limit.bits as usize * size_of::<u32>();
        sizes.iter().sum::<u64>() + 3 * sizes.iter().max().unwrap_or(&0) + (pieces + probes) as u64
    }

    /// Compares all, and hands over what is found.
    pub fn run(
        &self,
        pool: &ThreadPool,
        folder: Option<&Path>,
        interrupt: &Interrupt,
        mut found: impl FnMut(Vec<Candidate>) -> Outcome,
    ) -> Outcome<Work> {
        let mut work = Work { comparisons: self.pairs(), resumed: 0 };
        let mut checkpoint = folder.map(|folder| Checkpoint::resume(folder, self, &mut found)).transpose()?;
        let progress = terminal::rate_bar(work.comparisons, "comparing");
        for files in self.comparisons() {
            interrupt.check()?;
            let comparison = pool.install(|| self.comparison(files));
            let is_done = |tile: &u32| checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.has(files, *tile));
            let (done, left): (Vec<u32>, Vec<u32>) = (0..comparison.tiles() as u32).partition(is_done);
            let before = done.iter().map(|tile| comparison.pairs_of(*tile as usize)).sum();
            work.resumed += before;
            progress.inc(before);
            std::thread::scope(|scope| {
                let (send, receive) = sync_channel(WAITING);
                scope.spawn(|| pool.install(|| compare(&comparison, files, &left, send)));
                for piece in receive {
                    interrupt.check()?;
                    if let Some(checkpoint) = &mut checkpoint {
                        checkpoint.add(&piece)?;
                    }
                    if piece.last {
                        progress.inc(comparison.pairs_of(piece.tile as usize));
                    }
                    found(piece.pairs)?;
                }
                Outcome::Ok(())
            })?;
        }
        progress.finish_and_clear();
        Ok(work)
    }
}

/// Does the tiles until nobody takes them any more.
fn compare(comparison: &Comparison, files: [u16; 2], tiles: &[u32], send: SyncSender<Piece>) {
    let all = tiles.par_iter().try_for_each_with(send, |send, tile| {
        let mut piece = Piece { files, tile: *tile, number: 0, last: false, pairs: Vec::new() };
        let mut sent = Ok(());
        comparison.tile(*tile as usize, |pair| {
            if piece.pairs.len() == PIECE {
                let full = Piece { pairs: std::mem::take(&mut piece.pairs), ..piece };
                piece.number += 1;
                if sent.is_ok() {
                    sent = send.send(full);
                }
            }
            piece.pairs.push(Candidate { score: pair.score, files, records: [pair.a, pair.b] });
        });
        sent.and_then(|()| send.send(Piece { last: true, ..piece }))
    });
    // the receiver ends early where it was interrupted or could not write, and says so itself
    drop(all);
}
