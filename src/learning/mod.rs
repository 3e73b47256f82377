//! Weights from pairs whose truth is known: what agreement in a pass, or nearness in a filter, is worth.
//!
//! The weights of a schema are those of a logistic regression over everything that its candidate pairs show, so what
//! passes have in common is not counted twice. The truth is known because somebody reviewed the pairs, or because the
//! pairs are rows beside copies of themselves that were disturbed as typists disturb them ([`disturb`]).

pub mod disturb;
pub mod mixture;
pub mod outcomes;
pub mod regression;
