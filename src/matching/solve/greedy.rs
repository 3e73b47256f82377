//! Groups of records of which every two are a candidate pair, the surest pairs joined first.
//!
//! As anonlink's greedy solver at merge threshold 1: two groups become one when the last of the pairs between them has come.

use std::collections::HashMap;

use super::{Candidate, Record};

/// Which record of which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    pub file: u16,
    pub record: u32,
}

/// Takes candidates, surest first, and holds the groups so far.
pub struct Groups {
    /// No group has two records of one file.
    one_a_file: bool,
    of: HashMap<Record, usize>,
    groups: Vec<Group>,
}

#[derive(Default)]
struct Group {
    members: Vec<Record>,
    /// For each group that has pairs with this one and has not become one with it: how many.
    pairs: HashMap<usize, u64>,
}

impl Groups {
    pub fn new(one_a_file: bool) -> Self {
        Self { one_a_file, of: HashMap::new(), groups: Vec::new() }
    }

    pub fn add(&mut self, pair: &Candidate) {
        let [one, other] = [0, 1].map(|side| self.group_of(pair.record(side)));
        if one == other {
            return;
        }
        let between = self.groups[one].pairs.get(&other).copied().unwrap_or(0) + 1;
        let all = self.groups[one].members.len() as u64 * self.groups[other].members.len() as u64;
        if between == all && self.may_join(one, other) {
            self.join(one, other);
        } else {
            self.groups[one].pairs.insert(other, between);
            self.groups[other].pairs.insert(one, between);
        }
    }

    fn group_of(&mut self, record: Record) -> usize {
        *self.of.entry(record).or_insert_with(|| {
            self.groups.push(Group { members: vec![record], ..Group::default() });
            self.groups.len() - 1
        })
    }

    fn may_join(&self, one: usize, other: usize) -> bool {
        let shares = |(file, _): &Record| self.groups[other].members.iter().any(|(theirs, _)| theirs == file);
        !self.one_a_file || !self.groups[one].members.iter().any(shares)
    }

    /// The smaller group goes into the larger.
    fn join(&mut self, one: usize, other: usize) {
        let size = |at: usize| self.groups[at].members.len() + self.groups[at].pairs.len();
        let (into, from) = if size(one) >= size(other) { (one, other) } else { (other, one) };
        let Group { members, pairs } = std::mem::take(&mut self.groups[from]);
        for record in &members {
            self.of.insert(*record, into);
        }
        self.groups[into].members.extend(members);
        self.groups[into].pairs.remove(&from);
        for (third, count) in pairs.into_iter().filter(|(third, _)| *third != into) {
            *self.groups[into].pairs.entry(third).or_default() += count;
            let theirs = &mut self.groups[third].pairs;
            theirs.remove(&from);
            *theirs.entry(into).or_default() += count;
        }
    }

    /// The groups of two records or more, each sorted, in the order of their first records.
    pub fn finish(self) -> Vec<Vec<Member>> {
        let sorted = |group: Group| {
            let mut members: Vec<Member> =
                group.members.into_iter().map(|(file, record)| Member { file, record }).collect();
            members.sort_unstable();
            members
        };
        let mut groups: Vec<Vec<Member>> =
            self.groups.into_iter().filter(|group| group.members.len() > 1).map(sorted).collect();
        groups.sort_unstable();
        groups
    }
}
