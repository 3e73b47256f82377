//! What a person's authorisation (授权书) covers, as the office's list says it.

use std::str::FromStr;

use hedui_protocol::ticket::Capacity;

/// `LETTER=AGENCY` from the command line: how the list's scope column abbreviates agencies.
#[derive(Clone, Debug)]
pub struct ScopeLetter {
    letter: String,
    agency: String,
}

impl FromStr for ScopeLetter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (letter, agency) = text.split_once('=').ok_or("expected LETTER=AGENCY, for instance B=bank")?;
        Ok(Self { letter: letter.to_owned(), agency: agency.to_owned() })
    }
}

/// Why a person is not asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Excluded {
    NoAuthorisation,
    Expired,
    Withdrawn,
    /// The authorisation covers none of the agencies asked.
    NotCovered,
}

/// The status column: only `valid` (有效) authorises.
pub fn standing(status: &str) -> Result<(), Excluded> {
    match status.trim().to_lowercase().as_str() {
        "valid" | "有效" => Ok(()),
        "expired" | "过期" | "已过期" => Err(Excluded::Expired),
        "withdrawn" | "撤回" | "已撤回" => Err(Excluded::Withdrawn),
        _ => Err(Excluded::NoAuthorisation),
    }
}

/// The agencies, of those asked, that a scope cell covers: letters as declared, or names between separators.
pub fn covered(scope: &str, letters: &[ScopeLetter], asked: &[String]) -> Vec<String> {
    let named = |agency: &str| scope.split([',', ';', '|', ' ', '、', '，']).any(|word| word.trim() == agency);
    let lettered = |agency: &str| letters.iter().any(|l| l.agency == agency && scope.contains(&l.letter));
    asked.iter().filter(|agency| named(agency) || lettered(agency)).cloned().collect()
}

/// Support obligors stand outside the household and consent for themselves.
pub fn capacity(relation: &str) -> Capacity {
    let obligor = ["obligor", "赡养人", "抚养人", "扶养人", "义务人"];
    if obligor.iter().any(|word| relation.contains(word)) { Capacity::Obligor } else { Capacity::CoResident }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_valid_authorisation_stands() {
        assert_eq!(standing(" Valid "), Ok(()));
        assert_eq!(standing("withdrawn"), Err(Excluded::Withdrawn));
        assert_eq!(standing("已过期"), Err(Excluded::Expired));
        assert_eq!(standing(""), Err(Excluded::NoAuthorisation));
        assert_eq!(standing("pending"), Err(Excluded::NoAuthorisation), "what is not known does not authorise");
    }

    #[test]
    fn a_scope_names_agencies_by_letter_or_name() {
        let letters: Vec<ScopeLetter> = ["B=bank", "T=tax"].iter().map(|text| text.parse().unwrap()).collect();
        let asked = ["bank".to_owned(), "tax".to_owned(), "housing".to_owned()];
        assert_eq!(covered("BHV", &letters, &asked), ["bank"]);
        assert_eq!(covered("housing; tax", &letters, &asked), ["tax", "housing"]);
        assert!(covered("", &letters, &asked).is_empty());
    }

    #[test]
    fn obligors_are_told_from_co_residents() {
        assert_eq!(capacity("配偶"), Capacity::CoResident);
        assert_eq!(capacity("赡养人(子)"), Capacity::Obligor);
    }
}
