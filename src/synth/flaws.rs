//! What can be wrong or strange in a row, and how often it is in each file.
//!
//! The kinds and the rates are those of the development sets (`eval/generator/errors_dev.json`).

use super::register::Register;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// The name before it was changed.
    NameChange,
    SurnameVariant,
    Homophone,
    Lookalike,
    CharDrop,
    CharSwap,
    /// A rare character became ?, *, □ or its sound.
    RareLost,
    Pinyin,
    Traditional,
    /// The dot of a Uyghur name was written otherwise or left out.
    Dot,
    /// A two-character name with a space inside.
    Space,
    Trailing,
    IdMissing,
    IdOfKin,
    /// The form before 1999: no century, no check character.
    Id15,
    IdTranspose,
    IdDigit,
    IdTruncate,
    IdLower,
    IdSpace,
    IdFull,
    DobMissing,
    DobSwap,
    DobDay,
    DobYear,
    DobJan1,
    SexWrong,
    SexMissing,
    PhoneOld,
    PhoneMissing,
    PhoneDigit,
    PhoneFormat,
    AddrMissing,
    AddrMoved,
}

impl Flaw {
    pub(super) const COUNT: usize = RATES.len();
}

/// For each flaw, times in 100 000 among the rows where it can happen.
pub(super) type Rates = [u32; Flaw::COUNT];

pub(super) fn rates(register: Register) -> Rates {
    RATES.map(|(_, rates)| rates[register as usize])
}

/// In the order of `Flaw`, a column for each of `Register::ALL`.
#[rustfmt::skip]
pub(super) const RATES: [(Flaw, [u32; 5]); 34] = [
    (Flaw::NameChange,     [   200,    800,    800,  2_000,    800]),
    (Flaw::SurnameVariant, [10_000, 10_000, 10_000, 10_000, 10_000]),
    (Flaw::Homophone,      [   400,  1_500,  1_500,  1_500,  3_000]),
    (Flaw::Lookalike,      [   400,  1_000,  1_000,  1_000,  3_000]),
    (Flaw::CharDrop,       [   400,    400,    400,    400,    400]),
    (Flaw::CharSwap,       [   300,    300,    300,    300,    300]),
    (Flaw::RareLost,       [30_000, 30_000, 30_000, 30_000, 30_000]),
    (Flaw::Pinyin,         [     0,  3_000,      0,      0,      0]),
    (Flaw::Traditional,    [   500,    500,    500,  6_000,    500]),
    (Flaw::Dot,            [40_000, 40_000, 40_000, 40_000, 40_000]),
    (Flaw::Space,          [ 5_000, 25_000,  5_000,  5_000,  5_000]),
    (Flaw::Trailing,       [ 1_000,  1_000,  1_000,  1_000,  1_000]),
    (Flaw::IdMissing,      [   500,  1_000,  3_000, 12_000,  3_000]),
    (Flaw::IdOfKin,        [   300,    300,    300,    300,    300]),
    (Flaw::Id15,           [     0,  2_000,  8_000, 12_000,  2_000]),
    (Flaw::IdTranspose,    [   400,  1_000,  1_000,  1_000,  2_500]),
    (Flaw::IdDigit,        [   300,    800,    800,    800,  2_000]),
    (Flaw::IdTruncate,     [   200,    200,    200,    200,    200]),
    (Flaw::IdLower,        [10_000, 30_000, 30_000, 30_000, 30_000]),
    (Flaw::IdSpace,        [ 1_000,  1_000,  3_000,  1_000,  1_000]),
    (Flaw::IdFull,         [   500,  3_000,    500,    500,    500]),
    (Flaw::DobMissing,     [     0,  2_000,  2_000, 12_000,  2_000]),
    (Flaw::DobSwap,        [ 1_500,  1_500,  1_500,  1_500,  1_500]),
    (Flaw::DobDay,         [   800,    800,    800,    800,    800]),
    (Flaw::DobYear,        [   600,    600,    600,    600,    600]),
    (Flaw::DobJan1,        [   800,    800,    800,    800,    800]),
    (Flaw::SexWrong,       [   300,    300,    300,    300,    300]),
    (Flaw::SexMissing,     [ 2_000,  2_000,  2_000,  2_000,  2_000]),
    (Flaw::PhoneOld,       [ 5_000, 25_000, 25_000, 25_000, 25_000]),
    (Flaw::PhoneMissing,   [ 2_000,  8_000,  8_000, 35_000,  8_000]),
    (Flaw::PhoneDigit,     [ 1_000,  1_000,  1_000,  1_000,  1_000]),
    (Flaw::PhoneFormat,    [ 5_000,  5_000,  5_000,  5_000, 30_000]),
    (Flaw::AddrMissing,    [ 1_000,  4_000, 25_000,  4_000,  4_000]),
    (Flaw::AddrMoved,      [ 3_000, 20_000, 20_000,  8_000, 30_000]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rates_stand_in_the_order_of_the_kinds() {
        for (place, (flaw, _)) in RATES.iter().enumerate() {
            assert_eq!(*flaw as usize, place, "{flaw:?}");
        }
    }
}
