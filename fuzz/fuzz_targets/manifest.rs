//! Fuzzes the parser `manifest`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hedui_fuzz::manifest(bytes));
