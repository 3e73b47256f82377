//! What characters look like: the class of the component that most of their strokes belong to (SPEC 4.5).

use std::collections::HashMap;
use std::sync::LazyLock;

/// Unihan's phonetic classes; source, licence and making stand beside the file.
const CLASSES: &str = include_str!("../../data/phonetic-classes.txt");

static CLASS_OF: LazyLock<HashMap<char, &'static str>> = LazyLock::new(|| {
    let classes = CLASSES.lines().filter_map(|line| line.split_once(' '));
    classes.flat_map(|(class, characters)| characters.chars().map(move |c| (c, class))).collect()
});

/// The shape of a folded character: its class, or itself where it has none.
pub fn shape(c: char) -> String {
    CLASS_OF.get(&c).map_or_else(|| c.to_string(), |class| (*class).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(characters: &str, expect: &str) {
        let shapes: Vec<String> = characters.chars().map(shape).collect();
        assert_eq!(shapes.join(" "), expect);
    }

    #[test]
    fn characters_that_look_alike_have_one_shape() {
        check("伟玮炜纬", "1433 1433 1433 1433");
        check("清请晴情", "203 203 203 203");
        check("张李", "111 141");
        check("翔", "翔");
    }

    #[test]
    fn every_line_of_the_table_reads_and_no_character_stands_twice() {
        let characters: usize = CLASSES.lines().map(|line| line.split_once(' ').unwrap().1.chars().count()).sum();
        assert_eq!((CLASS_OF.len(), characters), (17_638, 17_638));
    }
}
