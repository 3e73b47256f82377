//! Fuzzes the parser `encodings`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hedui_fuzz::encodings(bytes));
