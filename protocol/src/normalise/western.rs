//! Names and words in Latin letters, digits, e-mail addresses (SPEC 4.9).

use super::text::{without_brackets, without_marks};
use crate::schema::Part;

// SPEC 4.9  letters without marks, digits kept, everything else a space; brackets, titles and suffixes go where something is left
pub fn words(clean: &str) -> Option<String> {
    let plain = without_marks(clean);
    let all = |text: &str| -> Vec<String> {
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let mut words = all(&without_brackets(&plain));
    if words.is_empty() {
        words = all(&plain);
    }
    while words.len() > 1 && TITLES.contains(&words[0].as_str()) {
        words.remove(0);
    }
    while words.len() > 1 && words.last().is_some_and(|last| SUFFIXES.contains(&last.as_str())) {
        words.pop();
    }
    (!words.is_empty()).then(|| words.join(" "))
}

/// Words before a name, and behind it, that are none of it.
const TITLES: [&str; 9] = ["mr", "mrs", "ms", "miss", "mx", "dr", "prof", "rev", "sir"];
const SUFFIXES: [&str; 8] = ["jr", "sr", "ii", "iii", "iv", "phd", "md", "esq"];

pub fn digits(clean: &str) -> Option<String> {
    let digits: String = clean.chars().filter(char::is_ascii_digit).collect();
    (!digits.is_empty()).then_some(digits)
}

pub fn part(words: &str, part: Part) -> Option<String> {
    match part {
        Part::Text => Some(words.to_owned()),
        Part::Soundex => soundex(words),
        Part::FirstWord => words.split(' ').next().map(str::to_owned),
        _ => None,
    }
}

pub fn email_part(email: &str, part: Part) -> Option<String> {
    match part {
        Part::Text => Some(email.to_owned()),
        Part::User => email.split('@').next().filter(|user| !user.is_empty()).map(str::to_owned),
        _ => None,
    }
}

/// American Soundex (US National Archives): a letter and three digits, over the letters of all words.
fn soundex(words: &str) -> Option<String> {
    let mut letters = words.chars().filter(char::is_ascii_alphabetic);
    let first = letters.next()?;
    let mut code = String::from(first);
    let mut last = sound(first);
    for letter in letters {
        let sound = sound(letter);
        if code.len() == 4 {
            break;
        }
        match sound {
            Some(digit) => {
                if Some(digit) != last {
                    code.push(digit);
                }
                last = sound;
            }
            // h and w do not separate equal sounds; vowels do
            None if matches!(letter, 'h' | 'w') => {}
            None => last = None,
        }
    }
    Some(format!("{code:0<4}"))
}

fn sound(letter: char) -> Option<char> {
    match letter {
        'b' | 'f' | 'p' | 'v' => Some('1'),
        'c' | 'g' | 'j' | 'k' | 'q' | 's' | 'x' | 'z' => Some('2'),
        'd' | 't' => Some('3'),
        'l' => Some('4'),
        'm' | 'n' => Some('5'),
        'r' => Some('6'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // the examples of the US National Archives
    #[test]
    fn soundex_codes() {
        for (name, code) in [
            ("robert", "r163"),
            ("rupert", "r163"),
            ("tymczak", "t522"),
            ("pfister", "p236"),
            ("honeyman", "h555"),
            ("ashcraft", "a261"),
            ("lee", "l000"),
        ] {
            assert_eq!(soundex(name).unwrap(), code, "{name}");
        }
        assert_eq!(soundex("123"), None);
    }

    #[test]
    fn words_lose_their_marks() {
        assert_eq!(words("o'brien-müller").unwrap(), "o brien muller");
        assert_eq!(words("--"), None);
    }

    #[test]
    fn titles_suffixes_and_brackets_are_no_name() {
        for name in [
            "dr. john smith jr.",
            "mr john smith iii",
            "john smith (née jones)",
            "john smith [deceased]",
            "john smith, phd",
        ] {
            assert_eq!(words(name).unwrap(), "john smith");
        }
        for alone in ["jr", "dr", "(smith)"] {
            assert_eq!(words(alone).unwrap(), alone.trim_matches(['(', ')']));
        }
    }
}
