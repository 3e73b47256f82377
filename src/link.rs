//! stub
use crate::failure::Outcome;
use clap::Args;
#[derive(Args, Debug)]
pub struct Link {}
impl Link {
    pub fn run(self) -> Outcome {
        Ok(())
    }
}
