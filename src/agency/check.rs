//! `hedui agency check`
use crate::failure::Outcome;
use clap::Args;
#[derive(Args, Debug)]
pub struct Check {}
impl Check {
    pub fn run(self) -> Outcome {
        Ok(())
    }
}
