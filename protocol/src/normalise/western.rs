//! Names and words in Latin letters, digits, e-mail addresses (SPEC 4.9).

use super::text::without_marks;
use crate::schema::Part;

// SPEC 4.9  letters without marks, digits kept, everything else a space
pub fn words(clean: &str) -> Option<String> {
    let plain = without_marks(clean);
    let words: Vec<&str> = plain.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

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
        assert_eq!(words("o'brien-müller  jr.").unwrap(), "o brien muller jr");
        assert_eq!(words("--"), None);
    }
}
