//! Fuzzes the parser `table`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hedui_fuzz::table(bytes));
