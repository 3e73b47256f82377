//! Fuzzes the parser `clk_file`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hedui_fuzz::clk_file(bytes));
