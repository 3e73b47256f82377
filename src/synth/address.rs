//! Addresses of the made-up city and the five ways to write them.

use super::dice::Dice;
use std::fmt::Write as _;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address {
    district: u8,
    road: u8,
    /// 0: no lane
    lane: u16,
    number: u16,
    room: u16,
}

/// How a file writes an address.
#[derive(Clone, Copy, Debug)]
pub(super) enum AddressStyle {
    /// City, district, lane, number and room, with every word.
    Full,
    /// From the district on.
    District,
    /// Road and numbers with dashes.
    Dashes,
    /// City and district without 市 and 区.
    Short,
    /// As `Full`, digits in full width.
    FullWidth,
}

impl AddressStyle {
    pub(super) const ALL: [Self; 5] = [Self::Full, Self::District, Self::Dashes, Self::Short, Self::FullWidth];
}

impl Address {
    pub(super) fn draw(dice: &mut Dice) -> Self {
        Self {
            district: dice.small(DISTRICTS.len() as u32) as u8,
            road: dice.below(ROADS.len() as u32) as u8,
            lane: if dice.chance(75_000) { dice.small(2_000) as u16 + 1 } else { 0 },
            number: dice.small(120) as u16 + 1,
            room: (dice.below(18) as u16 + 1) * 100 + dice.below(4) as u16 + 1,
        }
    }

    pub(super) fn write(&self, style: AddressStyle) -> String {
        let (district, road) = (DISTRICTS[usize::from(self.district)], ROADS[usize::from(self.road)]);
        let Self { number, room, .. } = self;
        let lane = match (self.lane, style) {
            (0, _) => String::new(),
            (lane, AddressStyle::Dashes) => format!("{lane}-"),
            (lane, _) => format!("{lane}弄"),
        };
        let mut text = String::with_capacity(64);
        match style {
            AddressStyle::Full => write!(text, "{CITY}市{district}区{road}路{lane}{number}号{room}室"),
            AddressStyle::District => write!(text, "{district}区{road}路{lane}{number}号{room}"),
            AddressStyle::Dashes => write!(text, "{road}路{lane}{number}-{room}"),
            AddressStyle::Short => write!(text, "{CITY}{district}{road}路{lane}{number}号楼{room}室"),
            AddressStyle::FullWidth => {
                text = full_width(&self.write(AddressStyle::Full));
                Ok(())
            }
        }
        .expect("a string takes any text");
        text
    }
}

/// Digits and the letter X in full width, all else as it is.
pub(super) fn full_width(text: &str) -> String {
    let widen = |letter| match letter {
        '0'..='9' | 'X' | 'x' => char::from_u32(u32::from(letter) + 0xfee0).expect("U+FF10 to U+FF78 are characters"),
        other => other,
    };
    text.chars().map(widen).collect()
}

/// No city of China has this name, nor these districts.
const CITY: &str = "云岸";
const DISTRICTS: [&str; 16] = [
    "澄江湾",
    "望潮",
    "青屿",
    "栖霞岭",
    "鹿鸣洲",
    "锦帆",
    "白鹭洲",
    "临渡",
    "松涛岭",
    "竹溪湾",
    "云锦",
    "沙鸥",
    "梅坞岭",
    "芦荡",
    "橘洲湾",
    "星桥",
];
const ROADS: [&str; 64] = [
    "世纪",
    "友谊",
    "民生",
    "和平",
    "解放中",
    "人民北",
    "建设",
    "光明",
    "文化",
    "新华",
    "长寿",
    "长江",
    "黄河",
    "泰山",
    "天山",
    "昆仑",
    "锦绣",
    "碧云",
    "春申",
    "荣乐",
    "云台",
    "龙阳",
    "成山",
    "灵山",
    "羽山",
    "东陆",
    "清河",
    "墨玉",
    "牡丹",
    "水仙",
    "桂林",
    "桃浦",
    "梅川",
    "柳州",
    "枫林",
    "银杏",
    "学府",
    "书院",
    "钟楼",
    "鼓楼",
    "城桥",
    "虹桥",
    "金桥",
    "石桥",
    "平凉",
    "安远",
    "延平",
    "武宁",
    "曹杨",
    "田林",
    "古北",
    "南丹",
    "西藏南",
    "河南中",
    "四川北",
    "环城东",
    "滨河",
    "沿湖",
    "海潮",
    "渔港",
    "航运",
    "纺织",
    "钢城",
    "铁岭",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles() {
        let address = Address { district: 5, road: 0, lane: 12, number: 3, room: 401 };
        let written: Vec<String> = AddressStyle::ALL.iter().map(|style| address.write(*style)).collect();
        assert_eq!(written[0], "云岸市锦帆区世纪路12弄3号401室");
        assert_eq!(written[1], "锦帆区世纪路12弄3号401");
        assert_eq!(written[2], "世纪路12-3-401");
        assert_eq!(written[3], "云岸锦帆世纪路12弄3号楼401室");
        assert_eq!(written[4], "云岸市锦帆区世纪路１２弄３号４０１室");
        assert_eq!(Address { lane: 0, ..address }.write(AddressStyle::Dashes), "世纪路3-401");
    }
}
