//! The integration tests: one binary, real processes, real sockets, real files.

mod access;
mod architecture;
mod audit;
mod bad_input;
mod blind;
mod bucket;
mod certificates;
mod check_report;
mod clk;
mod cuts;
mod faults;
mod floods;
mod harness;
mod indexing;
mod interrupts;
mod journey;
mod kills;
mod outside;
mod pairing;
mod postgres;
mod readme;
mod release_rules;
mod schemas;
mod shared_stores;
mod tune;
