//! What is learned from pairs: weights where their truth is known, and how many match where nobody knows ([`mixture`]).
//!
//! The weights of a schema are those of a logistic regression over everything that its candidate pairs show, so what
//! passes have in common is not counted twice. The truth is known because somebody reviewed the pairs, or because the
//! pairs are rows beside copies of themselves that were disturbed as typists disturb them ([`disturb`]).

pub mod disturb;
pub mod mixture;
pub mod outcomes;
pub mod regression;
