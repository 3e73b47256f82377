//! Fuzzes the parser `batch_header`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hedui_fuzz::batch_header(bytes));
