//! Fuzzes the parser `messages`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hedui_fuzz::messages(bytes));
