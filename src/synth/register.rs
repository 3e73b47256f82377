//! The five files: whom each of them knows and how its clerks write.

use super::{address::AddressStyle, date::DateStyle, names::Spelling, numbers::Sex};

/// The office, and the four agencies in the order of the letters of a consent: B, T, H, V.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Register {
    Office,
    Bank,
    Tax,
    Housing,
    Vehicle,
}

impl Register {
    pub(super) const ALL: [Self; 5] = [Self::Office, Self::Bank, Self::Tax, Self::Housing, Self::Vehicle];
    pub(super) const AGENCIES: [Self; 4] = [Self::Bank, Self::Tax, Self::Housing, Self::Vehicle];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Office => "office",
            Self::Bank => "bank",
            Self::Tax => "tax",
            Self::Housing => "housing",
            Self::Vehicle => "vehicle",
        }
    }

    /// Begins the id of a row.
    pub(super) const fn letter(self) -> char {
        match self {
            Self::Office => 'O',
            Self::Bank => 'B',
            Self::Tax => 'T',
            Self::Housing => 'H',
            Self::Vehicle => 'V',
        }
    }

    /// The columns after those that every file has.
    pub(super) const fn own_columns(self) -> &'static str {
        match self {
            Self::Office => "household_no,relation,consent_no,consent_scope,consent_status",
            Self::Bank => "accounts,balance",
            Self::Tax => "annual_income",
            Self::Housing => "properties,area_m2",
            Self::Vehicle => "vehicles,vehicle_price",
        }
    }

    pub(super) const fn habits(self) -> Habits {
        let (dates, sexes, addresses) = match self {
            Self::Office | Self::Tax => (DateStyle::Dashes, ["男", "女"], AddressStyle::Full),
            Self::Bank => (DateStyle::Digits, ["M", "F"], AddressStyle::District),
            Self::Housing => (DateStyle::Han, ["1", "2"], AddressStyle::Short),
            Self::Vehicle => (DateStyle::Slashes, ["男性", "女性"], AddressStyle::Dashes),
        };
        Habits { dates, sexes, addresses, spelling: Spelling::Capitals }
    }

    /// Whom an agency knows. The office knows every applicant and nobody else.
    pub(super) const fn clientele(self) -> Clientele {
        match self {
            Self::Office => Clientele { ages: (0, 200), general: 0, applicants: 100_000, again: 0 },
            Self::Bank => Clientele { ages: (6, 110), general: 72_000, applicants: 80_000, again: 6_000 },
            Self::Tax => Clientele { ages: (18, 66), general: 42_000, applicants: 38_000, again: 1_000 },
            Self::Housing => Clientele { ages: (23, 110), general: 34_000, applicants: 22_000, again: 10_000 },
            Self::Vehicle => Clientele { ages: (19, 80), general: 24_000, applicants: 8_000, again: 7_000 },
        }
    }
}

/// How a file writes what it knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Habits {
    pub(super) dates: DateStyle,
    sexes: [&'static str; 2],
    pub(super) addresses: AddressStyle,
    pub(super) spelling: Spelling,
}

impl Habits {
    pub(super) fn sex(&self, sex: Sex) -> &'static str {
        self.sexes[sex as usize]
    }
}

/// Shares are of 100 000.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clientele {
    /// From the first age on, below the second.
    ages: (i32, i32),
    general: u32,
    applicants: u32,
    /// Of those it knows, who has a second, older record.
    pub(super) again: u32,
}

impl Clientele {
    pub(super) fn eligible(&self, age: i32) -> bool {
        (self.ages.0..self.ages.1).contains(&age)
    }

    pub(super) fn share(&self, applicant: bool) -> u32 {
        if applicant { self.applicants } else { self.general }
    }

    /// No group is known better than this.
    pub(super) fn largest_share(&self) -> u32 {
        self.general.max(self.applicants)
    }
}
