//! The kinds of fields, and what of each can agree on its own (SPEC 4.2).

use serde::{Deserialize, Serialize};

/// How a field is read, and which parts it has (SPEC 4.2 to 4.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    NameCn,
    ResidentId,
    Date,
    Sex,
    Phone,
    AddressCn,
    /// A Western address in one line.
    Address,
    /// A name or words in Latin letters.
    Words,
    /// Digits whose position matters: postcode, house number, national id.
    Digits,
    Email,
    /// A decimal number of which near ones meet: an amount, an area.
    Quantity,
    /// Unread: the profile `clk` gives it to its linkage schema as it stands.
    Verbatim,
}

/// Something of a field that can agree on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    Bag,
    Shape,
    Pinyin,
    SurnamePinyin,
    GivenPinyin,
    Initials,
    LessOne,
    Id18,
    Repairs,
    Digits7To17,
    Digits1To10,
    Date,
    Lunar,
    Year,
    MonthDay,
    MonthDayEither,
    YearMonth,
    YearDay,
    Code,
    Number,
    Last4,
    AllButLast4,
    Road,
    District,
    Door,
    House,
    Street,
    Unit,
    Text,
    Soundex,
    FirstWord,
    User,
    Near,
}

impl Kind {
    /// The parts of this kind, by the names that a schema uses.
    pub fn parts(self) -> &'static [(&'static str, Part)] {
        match self {
            Self::NameCn => &[
                ("bag", Part::Bag),
                ("shape", Part::Shape),
                ("pinyin", Part::Pinyin),
                ("surname-pinyin", Part::SurnamePinyin),
                ("given-pinyin", Part::GivenPinyin),
                ("initials", Part::Initials),
                ("less-one", Part::LessOne),
            ],
            Self::ResidentId => &[
                ("id18", Part::Id18),
                ("repairs", Part::Repairs),
                ("digits-7-17", Part::Digits7To17),
                ("digits-1-10", Part::Digits1To10),
            ],
            Self::Date => &[
                ("date", Part::Date),
                ("lunar", Part::Lunar),
                ("year", Part::Year),
                ("month-day", Part::MonthDay),
                ("month-day-either", Part::MonthDayEither),
                ("year-month", Part::YearMonth),
                ("year-day", Part::YearDay),
            ],
            Self::Sex => &[("code", Part::Code)],
            Self::Phone | Self::Digits => {
                &[("number", Part::Number), ("last-4", Part::Last4), ("all-but-last-4", Part::AllButLast4)]
            }
            Self::AddressCn => &[("road", Part::Road), ("district", Part::District), ("door", Part::Door)],
            Self::Address => {
                &[("house", Part::House), ("street", Part::Street), ("unit", Part::Unit), ("text", Part::Text)]
            }
            Self::Words => &[("text", Part::Text), ("soundex", Part::Soundex), ("first-word", Part::FirstWord)],
            Self::Email => &[("text", Part::Text), ("user", Part::User)],
            Self::Quantity => &[("near", Part::Near)],
            Self::Verbatim => &[],
        }
    }

    /// Grams of a typical value: what a filter's `k` is chosen by.
    pub(super) fn typical_grams(self) -> usize {
        match self {
            Self::NameCn => 11,
            Self::ResidentId => 18,
            Self::Date => 8,
            Self::Sex => 1,
            Self::Phone => 11,
            Self::AddressCn => 12,
            Self::Address => 16,
            Self::Words => 9,
            Self::Digits => 5,
            Self::Email => 12,
            Self::Quantity => 2,
            Self::Verbatim => 0,
        }
    }
}
