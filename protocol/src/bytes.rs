//! Length-prefixed, domain-separated bytes: no two lists of fields share an encoding.

/// SPEC 1.2  A label and fields, each as its length (u32, little-endian) and its bytes.
pub(crate) struct Bound(Vec<u8>);

impl Bound {
    pub fn new(label: &str) -> Self {
        Self(Vec::with_capacity(128)).and(label.as_bytes())
    }

    pub fn and(mut self, field: &[u8]) -> Self {
        bind(&mut self.0, field);
        self
    }

    #[cfg(feature = "encode")]
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }

    pub fn as_slice(&self) -> &[u8] {
        &self.0
    }
}

/// A further field after bound bytes.
pub(crate) fn bind(bytes: &mut Vec<u8>, field: &[u8]) {
    let length = u32::try_from(field.len()).expect("a field is far below 4 GiB");
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(field);
}

#[cfg(test)]
mod tests {
    use super::Bound;

    #[test]
    fn moving_a_byte_between_fields_changes_the_bytes() {
        let one = Bound::new("x").and(b"ab").and(b"c");
        let other = Bound::new("x").and(b"a").and(b"bc");
        assert_ne!(one.as_slice(), other.as_slice());
    }

    #[test]
    fn lengths_are_little_endian_u32() {
        assert_eq!(Bound::new("x").and(b"yz").as_slice(), b"\x01\0\0\0x\x02\0\0\0yz");
    }
}
