//! Western addresses in one line: house, street, unit (SPEC 4.14).

use super::text::without_marks;
use crate::schema::Part;

pub struct Address {
    house: Option<String>,
    street: Option<String>,
    unit: Option<String>,
    text: String,
}

impl Address {
    // SPEC 4.14  the unit is taken out first, then the house; the street is what stands beside the house
    pub fn read(clean: &str) -> Option<Self> {
        let mut tokens = tokens(clean);
        let text = words(&tokens).join(" ");
        if text.is_empty() {
            return None;
        }
        if let Some(number) = box_number(&tokens) {
            return Some(Self { house: Some(number), street: Some("po box".into()), unit: None, text });
        }
        let unit = take_unit(&mut tokens);
        let (house, street) = match house_position(&tokens) {
            Some(at) => {
                let (house, behind) = house(&tokens, at);
                (Some(house), beside(&tokens[..at], behind))
            }
            None => (None, likeliest_street(&tokens)),
        };
        Some(Self { house, street: (!street.is_empty()).then(|| street.join(" ")), unit, text })
    }

    pub fn part(&self, part: Part) -> Option<String> {
        match part {
            Part::House => self.house.clone(),
            Part::Street => self.street.clone(),
            Part::Unit => self.unit.clone(),
            Part::Text => Some(self.text.clone()),
            _ => None,
        }
    }

    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Words, each in its one form, and the marks `, / -`. `'` and `.` part no words: `st.`, `o'brien`.
fn tokens(clean: &str) -> Vec<String> {
    let plain = without_marks(clean).replace(['\'', '’', '.'], "").replace('#', " unit ");
    let mut tokens: Vec<String> = vec![String::new()];
    for c in plain.chars() {
        let last = tokens.last_mut().expect("one to begin with");
        match c {
            _ if c.is_alphanumeric() && !is_mark(last) => last.push(c),
            ',' | '/' | '-' => tokens.push(c.into()),
            _ if c.is_alphanumeric() => tokens.push(c.into()),
            _ => tokens.push(String::new()),
        }
    }
    tokens.retain(|token| !token.is_empty());
    tokens.iter().map(|token| one_form(token).to_owned()).collect()
}

fn is_mark(token: &str) -> bool {
    matches!(token, "," | "/" | "-")
}

fn words(tokens: &[String]) -> Vec<&str> {
    tokens.iter().map(String::as_str).filter(|token| !is_mark(token)).collect()
}

/// `12`, `12b`; not `5th`.
fn is_number(token: &str) -> bool {
    let rest = token.trim_start_matches(|c: char| c.is_ascii_digit());
    rest.len() < token.len() && rest.len() <= 1
}

/// `4`, `4b`, `b4`, `b`.
fn is_unit_number(token: &str) -> bool {
    is_number(token) || is_number(token.trim_start_matches(|c: char| c.is_ascii_lowercase())) || is_letter(token)
}

fn is_letter(token: &str) -> bool {
    token.len() == 1 && token.bytes().all(|c| c.is_ascii_lowercase())
}

// SPEC 4.14  po box 12, p o box 12, gpo box 12, post office box 12
fn box_number(tokens: &[String]) -> Option<String> {
    let words = words(tokens);
    let at = words.windows(2).position(|pair| matches!(pair[0], "po" | "gpo" | "o" | "office") && pair[1] == "box")?;
    words.get(at + 2).filter(|number| is_unit_number(number)).map(|number| (*number).to_owned())
}

// SPEC 4.14  the number after `unit`; or the first of two numbers with a `/` between
fn take_unit(tokens: &mut Vec<String>) -> Option<String> {
    // a floor or a building does not tell one household from another
    let storey = |pair: &[String]| pair[0] == "level" && is_unit_number(&pair[1]);
    while let Some(at) = tokens.windows(2).position(storey) {
        tokens.drain(at..at + 2);
    }
    let named = |pair: &[String]| pair[0] == "unit" && is_unit_number(&pair[1]);
    if let Some(at) = tokens.windows(2).position(named) {
        let unit = tokens.remove(at + 1);
        tokens.remove(at);
        tokens.retain(|token| token != "unit");
        return Some(unit);
    }
    let fraction = |three: &[String]| is_unit_number(&three[0]) && three[1] == "/" && is_number(&three[2]);
    let at = tokens.windows(3).position(fraction)?;
    tokens.remove(at + 1);
    Some(tokens.remove(at))
}

// SPEC 4.14  the first number that names no road, nor is of four digits or more at the end, where postcodes stand
fn house_position(tokens: &[String]) -> Option<usize> {
    (0..tokens.len()).find(|at| {
        let of_a_road = *at > 0 && matches!(tokens[at - 1].as_str(), "hwy" | "rte");
        let postcode = *at > 0 && at + 1 == tokens.len() && tokens[*at].len() >= 4;
        is_number(&tokens[*at]) && !of_a_road && !postcode
    })
}

/// The house number at a position, with its letter or range, and what stands behind it.
fn house(tokens: &[String], at: usize) -> (String, &[String]) {
    let rest = &tokens[at + 1..];
    match rest {
        [dash, to, ..] if dash == "-" && is_number(to) => (format!("{}-{to}", tokens[at]), &rest[2..]),
        // n, s, e and w are directions
        [letter, next, ..] if is_letter(letter) && !is_direction(letter) && !is_mark(next) => {
            (format!("{}{letter}", tokens[at]), &rest[1..])
        }
        _ => (tokens[at].clone(), rest),
    }
}

/// The street behind a house number; before it where a comma or nothing stands behind.
fn beside<'t>(before: &'t [String], behind: &'t [String]) -> Vec<&'t str> {
    let last = before.rsplit(|token| token == ",").next().unwrap_or_default();
    let ends = behind.first().is_none_or(|token| token == ",");
    if ends && !words(last).is_empty() {
        return to_its_end(words(last));
    }
    let first = behind.split(|token| token == ",").map(words).find(|words| !words.is_empty());
    to_its_end(first.unwrap_or_default())
}

/// Without a house number: between commas, what ends as streets do, or else what comes first.
fn likeliest_street(tokens: &[String]) -> Vec<&str> {
    let pieces: Vec<Vec<&str>> =
        tokens.split(|token| token == ",").map(words).filter(|words| !words.is_empty()).collect();
    let named = pieces.iter().find(|words| words.iter().skip(1).any(|word| is_suffix(word)));
    to_its_end(named.or(pieces.first()).cloned().unwrap_or_default())
}

// SPEC 4.14  up to the first suffix that is not its first word, and further suffixes and directions; `st` may be a saint
fn to_its_end(mut words: Vec<&str>) -> Vec<&str> {
    let find = |is: &dyn Fn(&str) -> bool| (1..words.len()).find(|at| is(words[*at]));
    let end = find(&|word| is_suffix(word) && word != "st").or_else(|| find(&|word| word == "st"));
    if let Some(end) = end {
        let further = words[end + 1..].iter().take_while(|word| is_suffix(word) || is_direction(word)).count();
        words.truncate(end + 1 + further);
    }
    words
}

/// Whether several words end as streets' names do, `forbes street`.
pub fn ends_as_a_street(text: &str) -> bool {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    words.len() > 1 && words.last().is_some_and(|word| is_suffix(one_form(word.trim_end_matches('.'))))
}

fn is_suffix(word: &str) -> bool {
    SUFFIXES.iter().any(|(form, _)| *form == word)
}

fn is_direction(word: &str) -> bool {
    DIRECTIONS.iter().any(|(form, _)| *form == word)
}

fn one_form(word: &str) -> &str {
    let tables = [&SUFFIXES[..], &DIRECTIONS, &OTHERS];
    let known = tables.into_iter().flatten().find(|(_, forms)| forms.contains(&word));
    known.map_or_else(
        || word.strip_suffix("asse").filter(|short| short.ends_with("str")).unwrap_or(word),
        |(form, _)| form,
    )
}

/// Forms of a word that are written as one.
type OneForm = (&'static str, &'static [&'static str]);

/// Street suffixes (USPS Publication 28, appendix C1, the common ones), and those of Britain and Australia.
const SUFFIXES: [OneForm; 33] = [
    ("st", &["street", "str", "strt", "saint"]),
    ("rd", &["road"]),
    ("ave", &["avenue", "av", "aven"]),
    ("blvd", &["boulevard", "boul", "bvd"]),
    ("dr", &["drive", "drv"]),
    ("ln", &["lane"]),
    ("ct", &["court", "crt"]),
    ("pl", &["place"]),
    ("sq", &["square", "sqr"]),
    ("ter", &["terrace", "terr", "tce"]),
    ("cl", &["close"]),
    ("cres", &["crescent", "cresc"]),
    ("pde", &["parade"]),
    ("hwy", &["highway", "hiway"]),
    ("pkwy", &["parkway", "pky"]),
    ("expy", &["expressway", "expwy"]),
    ("fwy", &["freeway"]),
    ("rte", &["route"]),
    ("way", &[]),
    ("cir", &["circle", "circ"]),
    ("trl", &["trail"]),
    ("grv", &["grove"]),
    ("gdns", &["gardens", "gdn", "garden"]),
    ("hts", &["heights", "ht"]),
    ("hl", &["hill"]),
    ("row", &[]),
    ("walk", &[]),
    ("mews", &[]),
    ("loop", &[]),
    ("aly", &["alley", "ally"]),
    ("plz", &["plaza", "plza"]),
    ("xing", &["crossing"]),
    ("esp", &["esplanade"]),
];
/// Publication 28, appendix B.
const DIRECTIONS: [OneForm; 8] = [
    ("n", &["north"]),
    ("s", &["south"]),
    ("e", &["east"]),
    ("w", &["west"]),
    ("ne", &["northeast"]),
    ("nw", &["northwest"]),
    ("se", &["southeast"]),
    ("sw", &["southwest"]),
];
/// Words before the number of a flat (Publication 28, appendix C2, and Britain's) or of a floor, and words in names of streets.
const OTHERS: [OneForm; 14] = [
    ("unit", &["flat", "apt", "apartment", "suite", "ste", "room", "rm"]),
    ("level", &["lvl", "floor", "fl", "building", "bldg"]),
    ("mt", &["mount"]),
    ("ft", &["fort"]),
    ("1st", &["first"]),
    ("2nd", &["second"]),
    ("3rd", &["third"]),
    ("4th", &["fourth"]),
    ("5th", &["fifth"]),
    ("6th", &["sixth"]),
    ("7th", &["seventh"]),
    ("8th", &["eighth"]),
    ("9th", &["ninth"]),
    ("10th", &["tenth"]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalise::text::clean;

    /// house | street | unit
    #[track_caller]
    fn check(text: &str, expect: &str) {
        let address = Address::read(&clean(text)).unwrap();
        let parts = [Part::House, Part::Street, Part::Unit].map(|part| address.part(part).unwrap_or_default());
        assert_eq!(parts.join("|"), expect, "{text}");
    }

    #[test]
    fn house_street_and_unit_however_they_are_written() {
        check("12 Elm Street", "12|elm st|");
        check("12, Elm St.", "12|elm st|");
        check("No. 12 Elm St, Springfield", "12|elm st|");
        check("12 Elm St Springfield", "12|elm st|");
        check("Elm Street 12, Springfield", "12|elm st|");
        for one in [
            "Flat 4, 12 Elm St.",
            "4/12 Elm Street",
            "12 Elm Street Apt 4",
            "12 Elm St #4",
            "12 elm st., apt. # 4",
            "Unit 4/12 Elm St",
        ] {
            check(one, "12|elm st|4");
        }
        check("12/4 Elm Street", "4|elm st|12");
        check("Unit 3 45-47 High Rd", "45-47|high rd|3");
        check("12B Elm Street Apt 4", "12b|elm st|4");
        check("12 b Elm Street", "12b|elm st|");
        check("Flat B, 12 N. Elm Ave West", "12|n elm ave w|b");
        check("Rose Cottage, 12 Elm Rd", "12|elm rd|");
    }

    #[test]
    fn boxes_and_numbered_roads() {
        for text in ["PO Box 12", "P.O. Box 12", "p o box 12", "Post Office Box 12, Springfield"] {
            check(text, "12|po box|");
        }
        check("12 5th Avenue", "12|5th ave|");
        check("12 Fifth Ave", "12|5th ave|");
        check("Level 5, 25 Collins St", "25|collins st|");
        check("Bldg 4 37 Park Pl", "37|park pl|");
        check("12 Floor Street", "12|level st|");
        check("Hauptstraße 28", "28|hauptstr|");
        check("Hauptstr. 28", "28|hauptstr|");
        check("Highway 66", "|hwy 66|");
        check("120 Route 66", "120|rte 66|");
    }

    #[test]
    fn names_that_look_like_something_else() {
        check("12 St. John's Road", "12|st johns rd|");
        check("12 Saint Johns Rd", "12|st johns rd|");
        check("12 Mount St Helens Drive", "12|mt st helens dr|");
        check("12 Flat Rock Road", "12|unit rock rd|");
        check("12 Court House Road", "12|ct house rd|");
        check("12 Church Street", "12|church st|");
        check("Elm Street, Springfield 62704", "|elm st|");
        check("Rose Cottage, Elm Lane", "|elm ln|");
        check("Rose Cottage", "|rose cottage|");
        check("12", "12||");
    }

    #[test]
    fn the_text_is_all_words_in_one_form() {
        let text = |text: &str| Address::read(&clean(text)).map(|address| address.text);
        assert_eq!(text("Flat 4, 12 Élm Street"), text("apartment 4 12 elm st."));
        assert_eq!(text("Flat 4, 12 Elm Street").as_deref(), Some("unit 4 12 elm st"));
        assert_eq!(text(",-/"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_an_address_or_none(text in ".*", near in "([0-9a-f]{0,3}|st|unit|po|box|[ ,/#-]){0,12}") {
            let _ = Address::read(&clean(&text));
            let _ = Address::read(&clean(&near));
        }
    }
}
