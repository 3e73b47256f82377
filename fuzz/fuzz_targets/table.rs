//! Fuzzes the parser `table`. Panics of the `parquet` crate that it makes errors of are none here; what comes out is.
#![no_main]

libfuzzer_sys::fuzz_target!(init: std::panic::set_hook(Box::new(|_| ())), |bytes: &[u8]| hedui_fuzz::table(bytes));
