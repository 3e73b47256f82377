//! stub
use crate::schema::Schema;
pub struct Normaliser;
impl Normaliser {
    pub fn new(_: &Schema) -> Self {
        Self
    }
    pub fn row(&self, _: &[&str]) -> NormalisedRow {
        todo!()
    }
}
pub struct NormalisedRow {
    pub passes: Vec<Vec<Vec<u8>>>,
    pub grams: Vec<Vec<Vec<u8>>>,
    pub states: Vec<FieldState>,
}
pub struct FieldState;
