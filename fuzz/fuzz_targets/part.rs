//! Fuzzes the parser `part`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hedui_fuzz::part(bytes));
