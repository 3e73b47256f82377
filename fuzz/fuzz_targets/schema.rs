//! Fuzzes the parser `schema`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hedui_fuzz::schema(bytes));
