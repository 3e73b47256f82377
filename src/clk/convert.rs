//! `hedui clk convert`: the same CLKs in another form.

use std::path::PathBuf;

use clap::Args;

use super::file::{ClkWriter, Clks, Form};
use crate::failure::Outcome;
use crate::staging::refuse_to_overwrite;
use crate::terminal;

#[derive(Args, Debug)]
pub struct Convert {
    /// CLKs: .json, .bin or .parquet
    #[arg(value_name = "FROM")]
    from: PathBuf,
    /// The file to write, in the form that its name says
    #[arg(value_name = "TO")]
    to: PathBuf,
    /// Bits of a CLK; raw binary does not tell
    #[arg(long, value_name = "BITS")]
    bits: Option<usize>,
}

impl Convert {
    pub fn run(self) -> Outcome {
        refuse_to_overwrite(&[&self.from], [&self.to])?;
        let to = Form::of(None, &self.to)?;
        let clks = Clks::read(&self.from, Form::of(None, &self.from)?, self.bits)?;
        let mut writer = ClkWriter::create(&self.to, to, clks.length)?;
        let rows: Vec<(String, &[u8])> = clks.iter().enumerate().map(|(row, clk)| (clks.id(row), clk)).collect();
        for rows in rows.chunks(8192) {
            writer.write(rows.iter().cloned())?;
        }
        writer.finish()?;
        if clks.ids.is_some() && to != Form::Parquet {
            terminal::note("the ids are left out: only Parquet keeps them");
        }
        Ok(())
    }
}
