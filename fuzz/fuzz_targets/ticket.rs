//! Fuzzes the parser `ticket`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hedui_fuzz::ticket(bytes));
