//! Chinese addresses: the road and the numbers after it, which survive most ways of writing (SPEC 4.10).

use super::script::{fold, is_han};

/// Where a road or village name ends.
const ENDS: [char; 7] = ['路', '街', '道', '巷', '弄', '村', '镇'];
/// Characters of a road's name that are compared: what stands before is often a district without its suffix.
const ROAD: usize = 2;

pub struct AddressCn {
    road: String,
    numbers: Vec<String>,
    text: Vec<char>,
}

impl AddressCn {
    // SPEC 4.10  the two characters before the first 路 街 道 巷 弄 村 镇 that follows the last 省 市 区 县 州; all numbers
    pub fn read(clean: &str) -> Option<Self> {
        let text: Vec<char> = clean.chars().map(fold).filter(|c| !c.is_whitespace()).collect();
        let region_end =
            text.iter().rposition(|c| matches!(c, '省' | '市' | '区' | '县' | '州')).map_or(0, |at| at + 1);
        let rest = &text[region_end..];
        let end = rest.iter().position(|c| ENDS.contains(c));
        let name: Vec<char> = rest[..end.unwrap_or(0)].iter().copied().filter(|c| is_han(*c)).collect();
        let road = name[name.len().saturating_sub(ROAD)..].iter().collect();
        let all: String = rest.iter().collect();
        let numbers = all
            .split(|c: char| !c.is_ascii_digit())
            .filter(|n| !n.is_empty())
            .map(|n| n.trim_start_matches('0').to_owned());
        let numbers: Vec<String> = numbers.collect();
        (!rest.is_empty()).then_some(Self { road, numbers, text })
    }

    /// Road and numbers; none without a number, which alone tells households apart.
    pub fn part(&self) -> Option<String> {
        let known = !self.numbers.is_empty() && !self.road.is_empty();
        known.then(|| format!("{} {}", self.road, self.numbers.join("-")))
    }

    pub fn grams(&self) -> Vec<String> {
        let pairs = self.text.windows(2).filter(|pair| pair.iter().all(|c| is_han(*c)));
        let mut grams: Vec<String> = pairs.map(|pair| format!("b{}{}", pair[0], pair[1])).collect();
        grams.extend(self.numbers.iter().map(|number| format!("n{number}")));
        grams
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalise::text::clean;

    #[track_caller]
    fn check(address: &str, expect: Option<&str>) {
        assert_eq!(AddressCn::read(&clean(address)).and_then(|a| a.part()).as_deref(), expect, "{address}");
    }

    #[test]
    fn one_door_however_it_is_written() {
        for address in [
            "上海市松江区邯郸路34号502室",
            "松江区邯郸路34号502",
            "邯郸路34-502",
            "上海松江邯郸路34号楼502室",
            "上海市松江区邯郸路３４号５０２室",
        ] {
            check(address, Some("邯郸 34-502"));
        }
        check("云南省昭通市彝良县角奎镇12号", Some("角奎 12"));
        check("上海市", None);
        check("浦东新区", None);
    }
}
