//! What a person's authorisation (授权书) covers, as the office's list says it.

use std::collections::HashSet;
use std::str::FromStr;

use hedui_protocol::manifest::Manifest;
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

/// The agencies, of those asked, that a scope cell covers: names between separators, or words of declared letters alone.
///
/// A word that is neither covers nothing: `HOUSING` is not a `H`, an `O` and so on.
pub fn covered(scope: &str, letters: &[ScopeLetter], asked: &[String]) -> Vec<String> {
    let agencies: HashSet<&str> =
        words(scope).flat_map(|word| spelled(word, letters).unwrap_or_else(|| vec![word])).collect();
    asked.iter().filter(|agency| agencies.contains(agency.as_str())).cloned().collect()
}

/// Whether every word of a scope cell is one that [`covered`] understands.
pub fn understood(scope: &str, letters: &[ScopeLetter], manifest: &Manifest) -> bool {
    words(scope).all(|word| spelled(word, letters).is_some() || manifest.agency(word).is_some())
}

fn words(scope: &str) -> impl Iterator<Item = &str> {
    scope.split(|c: char| c.is_whitespace() || ",;|/+、，；｜".contains(c)).filter(|word| !word.is_empty())
}

/// The agencies that a word of declared letters names, letter by letter; none if something else is in it.
fn spelled<'l>(word: &str, letters: &'l [ScopeLetter]) -> Option<Vec<&'l str>> {
    let (mut rest, mut agencies) = (word, Vec::new());
    while !rest.is_empty() {
        let fits = letters.iter().filter(|l| !l.letter.is_empty() && rest.starts_with(&l.letter));
        let letter = fits.max_by_key(|l| l.letter.len())?;
        agencies.push(letter.agency.as_str());
        rest = &rest[letter.letter.len()..];
    }
    Some(agencies)
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
        assert_eq!(covered("TB", &letters, &asked), ["bank", "tax"]);
        assert_eq!(covered("B/T", &letters, &asked), ["bank", "tax"]);
        assert!(covered("BHV", &letters, &asked).is_empty(), "undeclared letters: the word is not understood");
        assert!(covered("BETTER", &letters, &asked).is_empty(), "a word is not its letters");
        assert_eq!(covered("housing; tax", &letters, &asked), ["tax", "housing"]);
        assert!(covered("", &letters, &asked).is_empty());
    }

    proptest::proptest! {
        #[test]
        fn any_scope_covers_only_what_its_words_say(scope in "[A-Z ,;]{0,12}", letter in "[A-C]{0,2}") {
            let letters = [ScopeLetter { letter: letter.clone(), agency: "bank".into() }];
            let covers = !covered(&scope, &letters, &["bank".to_owned()]).is_empty();
            let spelled = |word: &str| !letter.is_empty() && word.replace(&letter, "").is_empty();
            let words = scope.split([' ', ',', ';']).filter(|word| !word.is_empty());
            proptest::prop_assert_eq!(covers, words.into_iter().any(spelled));
            let _ = (letter.parse::<ScopeLetter>(), scope.parse::<ScopeLetter>());
        }
    }

    #[test]
    fn obligors_are_told_from_co_residents() {
        assert_eq!(capacity("配偶"), Capacity::CoResident);
        assert_eq!(capacity("赡养人(子)"), Capacity::Obligor);
    }
}
