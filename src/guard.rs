//! Damaged Parquet files: the `parquet` crate panics on some of them. Here such a panic becomes an error.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// What reading came to; none where it panicked. Whatever `read` borrowed is not to be used after that.
pub fn guarded<T>(read: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(read)).ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_panic_becomes_none() {
        assert_eq!(super::guarded(|| 1), Some(1));
        assert_eq!(super::guarded(|| panic!("a damaged file")), None::<u8>);
    }
}
