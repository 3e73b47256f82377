//! What an agency holds of a person: the columns that a check is about.

use super::{
    dice::Dice,
    register::Register,
    tables::{Amount, TABLES},
};
use std::fmt::Write as _;

/// Writes the agency's own columns, each after a comma. Applicants have less, except three in a hundred, who have what
/// others have: those the check is there to find.
pub(super) fn write(register: Register, applicant: bool, dice: &mut Dice, line: &mut String) {
    let poor = applicant && !dice.chance(3_000);
    let fewer = |rate: u32| if poor { rate / 4 } else { rate };
    let amount = |amount, dice: &mut Dice| TABLES.amount(amount, dice);
    match register {
        Register::Office => {}
        Register::Bank => {
            let accounts = 1 + dice.small(5);
            let balance = amount(Amount::Balance, dice) / if poor { 4 } else { 1 };
            counted(accounts, balance, line);
        }
        Register::Tax => {
            let income = amount(Amount::Income, dice) / if poor { 4 } else { 1 };
            line.push(',');
            hundredths(income, line);
        }
        Register::Housing => {
            let properties = 1 + u32::from(dice.chance(fewer(15_000))) + u32::from(dice.chance(fewer(4_000)));
            let area = (0..properties).map(|_| amount(Amount::Area, dice)).sum();
            counted(properties, area, line);
        }
        Register::Vehicle => {
            let vehicles = 1 + u32::from(dice.chance(fewer(12_000)));
            let price = amount(Amount::Price, dice) / if poor { 2 } else { 1 };
            counted(vehicles, price, line);
        }
    }
}

fn counted(count: u32, amount: u64, line: &mut String) {
    write!(line, ",{count},").expect("a string takes any text");
    hundredths(amount, line);
}

fn hundredths(amount: u64, line: &mut String) {
    write!(line, "{}.{:02}", amount / 100, amount % 100).expect("a string takes any text");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::dice::{Purpose, Streams};

    #[track_caller]
    fn columns(register: Register, applicant: bool) -> Vec<Vec<f64>> {
        let streams = Streams::new(1, Purpose::Row, register as u8);
        let row = |stream| {
            let mut line = String::new();
            write(register, applicant, &mut streams.stream(stream), &mut line);
            line.split(',').skip(1).map(|column| column.parse().unwrap()).collect()
        };
        (0..2_000).map(row).collect()
    }

    #[test]
    fn each_agency_writes_its_columns() {
        for register in Register::AGENCIES {
            let wanted = register.own_columns().split(',').count();
            assert!(columns(register, false).iter().all(|row| row.len() == wanted), "{register:?}");
        }
    }

    #[test]
    fn applicants_have_less() {
        let mean = |rows: Vec<Vec<f64>>| rows.iter().map(|row| row.last().unwrap()).sum::<f64>() / rows.len() as f64;
        for register in [Register::Bank, Register::Tax, Register::Vehicle] {
            assert!(mean(columns(register, true)) < mean(columns(register, false)) * 0.7, "{register:?}");
        }
    }
}
