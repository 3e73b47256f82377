//! Chinese addresses: district, road and the numbers after it, which survive most ways of writing (SPEC 4.10).

use super::han_numbers::{in_figures_before, numeral};
use super::script::{fold, is_han};
use crate::schema::Part;

/// Where a road's name ends, and where a village's or a town's.
const ROADS: [char; 5] = ['路', '街', '道', '巷', '弄'];
const VILLAGES: [char; 5] = ['村', '镇', '乡', '屯', '庄'];
const REGIONS: [char; 5] = ['省', '市', '区', '县', '州'];
/// Words of which an estate's name is less distinct.
const ESTATE: [&str; 15] =
    ["小区", "社区", "花园", "家园", "公寓", "大厦", "广场", "胡同", "新城", "新区", "区", "苑", "园", "城", "庭"];
/// What a number in Han numerals is counted by.
const COUNTED: [char; 11] = ['号', '段', '栋', '幢', '单', '室', '楼', '层', '弄', '座', '组'];
/// Characters of a name that are compared: what stands before is often a district, or a city, without its suffix.
const NAME: usize = 2;
/// Digits of a number that is no postcode.
const NUMBER: usize = 5;
/// Cities that are provinces.
const PROVINCES: [&str; 4] = ["北京", "上海", "天津", "重庆"];

pub struct AddressCn {
    road: String,
    district: Option<String>,
    numbers: Vec<String>,
    text: Vec<char>,
}

impl AddressCn {
    // SPEC 4.10  read piece by piece between commas: the road is in the first that has one
    pub fn read(clean: &str) -> Option<Self> {
        let folded: Vec<char> = clean.chars().map(fold).filter(|c| !c.is_whitespace()).collect();
        let figures = if folded.iter().any(|c| numeral(*c).is_some()) {
            in_figures_before(&folded.iter().collect::<String>(), |c| COUNTED.contains(&c)).chars().collect()
        } else {
            folded.clone()
        };
        let pieces: Vec<&[char]> = figures.split(|c| matches!(c, ',' | ';' | '、' | '。')).collect();
        let found = pieces.iter().enumerate().find_map(|(at, piece)| road(piece).map(|road| (at, road)));
        let (at, road) = found.map_or((None, String::new()), |(at, road)| (Some(at), road));
        let numbers = figures.split(|c| !c.is_ascii_digit()).filter(|n| (1..=NUMBER).contains(&n.len()));
        let numbers: Vec<String> = numbers.map(|n| n.iter().skip_while(|c| **c == '0').collect()).collect();
        // the road first: the regions follow, from the smallest to the largest
        let mut behind = pieces.iter().skip(1).filter(|_| at == Some(0));
        let above: Vec<char> = pieces[..=at.unwrap_or(pieces.len() - 1)].concat();
        let district = district(&above).or_else(|| behind.find_map(|piece| district(piece)));
        let nothing = road.is_empty() && numbers.is_empty() && district.is_none();
        (!nothing).then_some(Self { road, district, numbers, text: folded })
    }

    pub fn part(&self, part: Part) -> Option<String> {
        let door = || (!self.numbers.is_empty()).then(|| self.numbers.join("-"));
        match part {
            // none without a number, which alone tells households apart
            Part::Road if !self.road.is_empty() => door().map(|door| format!("{} {door}", self.road)),
            Part::Door => door(),
            Part::District => self.district.clone(),
            _ => None,
        }
    }

    pub fn grams(&self) -> Vec<String> {
        let pairs = self.text.windows(2).filter(|pair| pair.iter().all(|c| is_han(*c)));
        let mut grams: Vec<String> = pairs.map(|pair| format!("b{}{}", pair[0], pair[1])).collect();
        grams.extend(self.numbers.iter().map(|number| format!("n{number}")));
        grams
    }
}

// SPEC 4.10  before the first number: the name at the last road's end, else at the last village's, else what the text ends with
fn road(piece: &[char]) -> Option<String> {
    let number = piece.iter().position(char::is_ascii_digit);
    let before = &piece[..number.unwrap_or(piece.len())];
    let end = |of_roads: bool| (1..before.len()).rev().find(|at| ends_a_name(piece, *at) == Some(of_roads));
    if let Some(end) = end(true).or_else(|| end(false)) {
        // 街道 has two characters
        let end = if before[end - 1] == '街' && before[end] == '道' { end - 1 } else { end };
        return last_of_name(&before[..end]);
    }
    number.and_then(|_| estate(before))
}

/// Whether a road's name (or else a village's) ends here; none where nothing does, nor where a region's name goes on.
fn ends_a_name(piece: &[char], at: usize) -> Option<bool> {
    let (before, after) = (piece[at - 1], piece.get(at + 1));
    // 镇 and 道 of 江苏省镇江市, 哈尔滨市道里区; 镇 of 景德镇市
    let of_a_region = matches!(before, '省' | '市' | '区' | '县') || after.is_some_and(|c| REGIONS.contains(c));
    match piece[at] {
        _ if of_a_region || !is_han(before) => None,
        // a subdistrict is like a village: a road may follow
        '道' if before == '街' => Some(false),
        '街' if after == Some(&'道') => None,
        c if ROADS.contains(&c) => Some(true),
        c if VILLAGES.contains(&c) => Some(false),
        _ => None,
    }
}

/// An estate's or a hamlet's name before a number: without what many of them end with, and not a region's.
fn estate(before: &[char]) -> Option<String> {
    let from = before.iter().rposition(|c| !is_han(*c)).map_or(0, |at| at + 1);
    let run: String = before[from..].iter().collect();
    let numbered = run.strip_suffix('区').is_some_and(|rest| rest.ends_with(|c| numeral(c).is_some()));
    if run.ends_with(REGIONS) && !run.ends_with("小区") && !run.ends_with("社区") && !numbered {
        return None;
    }
    let mut name = run.as_str();
    while let Some(rest) = ESTATE.iter().find_map(|end| name.strip_suffix(end)).filter(|rest| !rest.is_empty()) {
        name = rest;
    }
    let name = if numbered { name.trim_end_matches(|c| numeral(c).is_some()) } else { name };
    last_of_name(&name.chars().collect::<Vec<_>>())
}

fn last_of_name(name: &[char]) -> Option<String> {
    let last = name.iter().rev().take_while(|c| is_han(**c)).take(NAME).collect::<Vec<_>>();
    (!last.is_empty()).then(|| last.into_iter().rev().collect())
}

// SPEC 4.10  the last name before 区 县 市, above the road and below the province
fn district(text: &[char]) -> Option<String> {
    let (mut name, mut district) = (String::new(), None);
    for c in text {
        match c {
            // at the start of a name these are of it: 市中区, 道里区, 镇海区
            _ if name.is_empty() => name.push(*c),
            '省' => name.clear(),
            '区' | '县' | '市' => district = Some((std::mem::take(&mut name), *c)).filter(is_district).or(district),
            _ if ROADS.contains(c) || matches!(c, '村' | '镇') || !is_han(*c) => break,
            _ => name.push(*c),
        }
    }
    let (name, _) = district?;
    last_of_name(&name.trim_end_matches("自治").chars().collect::<Vec<_>>())
}

/// Not a province, nor a place that only ends like a district.
fn is_district((name, suffix): &(String, char)) -> bool {
    match suffix {
        '市' => !PROVINCES.contains(&name.as_str()),
        '区' => {
            let numbered = name.ends_with(|c| numeral(c).is_some());
            !numbered && !["自治", "市辖", "小", "社"].iter().any(|end| name.ends_with(end))
        }
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
        check("上海市松江区12号", None);
    }

    #[test]
    fn a_road_is_found_in_any_order_and_below_a_subdistrict() {
        for address in [
            "浙江省杭州市西湖区文四路141号",
            "文四路141号,西湖区,杭州市,浙江省",
            "杭州市西湖区翠苑街道文四路一百四十一号",
            "西湖区翠苑街道办事处文四路141号",
            "杭州西湖区文四路141号,310012",
        ] {
            check(address, Some("文四 141"));
            part(address, Part::District, Some("西湖"));
        }
        check("南京市鼓楼区广州路22号", Some("广州 22"));
        check("杭州市西湖区文三路138号阳光小区3幢", Some("文三 138-3"));
        check("文一路139号城市花园", Some("文一 139"));
        check("武侯区红牌楼街道佳灵路20号", Some("佳灵 20"));
        check("义乌市稠城街道3组5号", Some("稠城 3-5"));
        check("景德镇市珠山区瓷都大道三段30号", Some("都大 3-30"));
        check("彝良县角奎镇人民路12号", Some("人民 12"));
        check("江苏省镇江市中山路1号", Some("中山 1"));
    }

    #[test]
    fn without_a_road_an_estate_or_a_hamlet_stands_for_it() {
        for (address, expect) in [
            ("幸福小区14栋2单元302室", "幸福 14-2-302"),
            ("西湖区阳光花园3栋101", "阳光 3-101"),
            ("翠苑四区5幢6号", "翠苑 5-6"),
            ("王家屯12号", "王家 12"),
            ("东城区东四胡同12号", "东四 12"),
        ] {
            check(address, Some(expect));
        }
        check("浦东新区", None);
    }
}
