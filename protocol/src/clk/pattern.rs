//! Regular expressions as Python's `re.fullmatch` reads them.

use fancy_regex::Regex;

/// Python's `\w` is what `str.isalnum` takes, and `_`; its `\s` takes four control characters more than Unicode's.
const WORD: &str = r"\p{L}\p{N}_";
const SPACE: &str = r"\s\x1c-\x1f";

/// None where the pattern does not read.
pub fn whole(pattern: &str) -> Option<Regex> {
    Regex::new(&format!(r"\A(?:{})\z", translated(pattern)?)).ok()
}

fn translated(pattern: &str) -> Option<String> {
    let mut out = String::with_capacity(pattern.len() + 16);
    let (mut in_class, mut class_start) = (false, false);
    let mut characters = pattern.chars();
    while let Some(c) = characters.next() {
        let starts = std::mem::take(&mut class_start);
        match c {
            '\\' => match (characters.next()?, in_class) {
                ('w', true) => out.push_str(WORD),
                ('w', false) => out.push_str(&format!("[{WORD}]")),
                ('W', false) => out.push_str(&format!("[^{WORD}]")),
                ('s', true) => out.push_str(SPACE),
                ('s', false) => out.push_str(&format!("[{SPACE}]")),
                ('S', false) => out.push_str(&format!("[^{SPACE}]")),
                // a negated set inside a set has no short form
                ('W' | 'S', true) => return None,
                ('Z', false) => out.push_str(r"\z"),
                (other, _) => out.extend(['\\', other]),
            },
            '[' if in_class => out.push_str(r"\["),
            '&' | '~' if in_class => out.extend(['\\', c]),
            '[' => {
                (in_class, class_start) = (true, true);
                out.push(c);
            }
            '^' if starts => {
                class_start = true;
                out.push(c);
            }
            // first in a class, `]` is a character
            ']' if starts => out.push_str(r"\]"),
            ']' => {
                in_class = false;
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, text: &str, expect: bool) {
        assert_eq!(whole(pattern).unwrap().is_match(text).unwrap(), expect, "{pattern} {text}");
    }

    // each was asked of CPython 3.11
    #[test]
    fn patterns_as_python_reads_them() {
        check(r"\w*", "1²_é", true);
        check(r"\w*", "a-b", false);
        check(r"[\w-]+", "a-b", true);
        check(r"\W", "-", true);
        check(r"a\sb", "a\u{1c}b", true);
        check(r"[]a]+", "]a", true);
        check(r"[^]a]+", "]a", false);
        check(r"[a[]+", "a[", true);
        check(r"(?!x).*", "xa", false);
        check(r"a|ab", "ab", true);
        check(r"\d+\Z", "12", true);
        check(r"[a&&b]", "&", true);
    }
}
