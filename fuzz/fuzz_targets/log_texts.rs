//! Fuzzes the parser `log_texts`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hedui_fuzz::log_texts(bytes));
