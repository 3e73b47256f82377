//! Chinese addresses: district, road and the numbers after it, which survive most ways of writing (SPEC 4.10).

use super::script::{fold, is_han};
use crate::schema::Part;

/// Where a road or village name ends.
const ENDS: [char; 7] = ['路', '街', '道', '巷', '弄', '村', '镇'];
/// Characters of a name that are compared: what stands before is often a district, or a city, without its suffix.
const NAME: usize = 2;
/// Cities that are provinces.
const PROVINCES: [&str; 4] = ["北京", "上海", "天津", "重庆"];

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
        let road = name[name.len().saturating_sub(NAME)..].iter().collect();
        let all: String = rest.iter().collect();
        let numbers = all
            .split(|c: char| !c.is_ascii_digit())
            .filter(|n| !n.is_empty())
            .map(|n| n.trim_start_matches('0').to_owned());
        let numbers: Vec<String> = numbers.collect();
        (!rest.is_empty()).then_some(Self { road, numbers, text })
    }

    pub fn part(&self, part: Part) -> Option<String> {
        let door = || (!self.numbers.is_empty()).then(|| self.numbers.join("-"));
        match part {
            // none without a number, which alone tells households apart
            Part::Road if !self.road.is_empty() => door().map(|door| format!("{} {door}", self.road)),
            Part::Door => door(),
            Part::District => self.district(),
            _ => None,
        }
    }

    // SPEC 4.10  the last name before 区 县 市, above the road and below the province
    fn district(&self) -> Option<String> {
        let (mut name, mut district) = (String::new(), None);
        for c in &self.text {
            match c {
                // at the start of a name these are of it: 市中区, 道里区, 镇海区
                _ if name.is_empty() => name.push(*c),
                '省' => name.clear(),
                '区' | '县' | '市' => {
                    district = Some((std::mem::take(&mut name), *c)).filter(is_district).or(district)
                }
                _ if ENDS.contains(c) || !is_han(*c) => break,
                _ => name.push(*c),
            }
        }
        let (name, _) = district?;
        let name: Vec<char> = name.trim_end_matches("自治").chars().collect();
        Some(name[name.len().saturating_sub(NAME)..].iter().collect())
    }

    pub fn grams(&self) -> Vec<String> {
        let pairs = self.text.windows(2).filter(|pair| pair.iter().all(|c| is_han(*c)));
        let mut grams: Vec<String> = pairs.map(|pair| format!("b{}{}", pair[0], pair[1])).collect();
        grams.extend(self.numbers.iter().map(|number| format!("n{number}")));
        grams
    }
}

/// Not a province, nor a place that only ends like a district.
fn is_district((name, suffix): &(String, char)) -> bool {
    match suffix {
        '市' => !PROVINCES.contains(&name.as_str()),
        '区' => !["自治", "市辖", "小", "社"].iter().any(|end| name.ends_with(end)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalise::text::clean;

    #[track_caller]
    fn part(address: &str, part: Part, expect: Option<&str>) {
        assert_eq!(AddressCn::read(&clean(address)).and_then(|a| a.part(part)).as_deref(), expect, "{address}");
    }

    #[track_caller]
    fn check(address: &str, expect: Option<&str>) {
        part(address, Part::Road, expect);
    }

    #[test]
    fn a_district_is_what_stands_above_the_road_and_below_the_province() {
        for (address, expect) in [
            ("上海市松江区邯郸路34号502室", Some("松江")),
            ("松江区邯郸路34号", Some("松江")),
            ("上海松江區邯鄲路34號", Some("松江")),
            ("云南省昭通市彝良县角奎镇12号", Some("彝良")),
            ("云南彝良县角奎镇12号", Some("彝良")),
            ("山东省济宁市市中区太白路1号", Some("市中")),
            ("黑龙江省哈尔滨市道里区中央大街1号", Some("道里")),
            ("江苏省镇江市中山路1号", Some("镇江")),
            ("新疆维吾尔自治区和田市北京路1号", Some("和田")),
            ("贵州省松桃苗族自治县城南路1号", Some("苗族")),
            ("上海市松江区邯郸路34号阳光小区5号", Some("松江")),
            ("上海市邯郸路34号", None),
            ("新疆维吾尔自治区北京路1号", None),
            ("阳光小区5号", None),
            ("邯郸路34-502", None),
        ] {
            part(address, Part::District, expect);
        }
    }

    #[test]
    fn a_door_is_the_numbers_alone() {
        for address in ["邯郸路34号楼2单元502室", "松江区34-2-502", "邯郸路34号2-0502"] {
            part(address, Part::Door, Some("34-2-502"));
        }
        part("邯郸路", Part::Door, None);
        part("502室2单元34号楼", Part::Door, Some("502-2-34"));
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
