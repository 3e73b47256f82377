//! Characters that offices write for one another in one person's name (SPEC 4.5).
//!
//! Not a fold: whoever bears the one may be another person than who bears the other.

/// The character that stands for a folded one and its variants.
pub fn canonical(c: char) -> char {
    match c {
        // surnames: simplified in use or by the withdrawn scheme of 1977, and 丘, which a taboo of 1725 made 邱
        '肖' => '萧',
        '闫' => '阎',
        '付' => '傅',
        '代' => '戴',
        '丘' => '邱',
        '兰' => '蓝',
        // Unicode Character Database 14.0 (Unihan): kSemanticVariant, kSpecializedSemanticVariant, kZVariant, where the
        // second is in the Table of General Standard Chinese Characters and the first is hardly ever another name. Not here
        // for that: 斌 彬, 曜 耀, 欣 忻, 毓 育, 奕 弈. OpenCC has folded 昇 升, 甯 宁, 峯 峰 and the like already.
        '呉' => '吴',
        '戸' => '户',
        '郤' => '郄',
        '栢' => '柏',
        '喆' | '悊' => '哲',
        '堃' => '坤',
        '邨' => '村',
        '祐' => '佑',
        '龢' | '咊' => '和',
        '崧' => '嵩',
        '邕' => '雍',
        '迺' | '廼' => '乃',
        '惇' => '敦',
        '燿' => '耀',
        '犇' => '奔',
        '埜' => '野',
        '叡' => '睿',
        '濬' => '浚',
        '熈' => '熙',
        '暎' => '映',
        '昻' => '昂',
        '枏' | '枬' => '楠',
        '珎' => '珍',
        '瑠' => '琉',
        '瑯' => '琅',
        '秌' | '龝' => '秋',
        '竒' => '奇',
        '朙' => '明',
        '勗' => '勖',
        '炤' => '照',
        '烱' => '炯',
        '悳' | '惪' => '德',
        '夀' => '寿',
        '髙' => '高',
        '黒' => '黑',
        '麐' => '麟',
        '鴈' => '雁',
        '宻' => '密',
        '寳' => '宝',
        '毘' => '毗',
        '郞' => '郎',
        '羙' => '美',
        '敍' => '叙',
        '煖' => '暖',
        '栁' => '柳',
        '洤' => '泉',
        '皦' => '皎',
        '玅' => '妙',
        '旹' => '时',
        _ => c,
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::fold;
    use super::*;

    #[test]
    fn a_canonical_character_is_folded_and_stands_for_itself() {
        let variants: Vec<char> = ('\u{3400}'..='\u{9fff}').filter(|c| canonical(*c) != *c).collect();
        assert_eq!(variants.len(), 61);
        for variant in variants {
            assert_eq!(fold(variant), variant, "{variant} is folded and never gets here");
            assert_eq!(canonical(canonical(variant)), canonical(variant), "{variant}");
            assert_eq!(fold(canonical(variant)), canonical(variant), "{variant}");
        }
    }

    #[test]
    fn variants_meet_and_look_alikes_do_not() {
        for (one, other) in
            [('肖', '萧'), ('付', '傅'), ('喆', '哲'), ('昇', '升'), ('甯', '宁'), ('邨', '村'), ('邱', '丘')]
        {
            assert_eq!(canonical(fold(one)), canonical(fold(other)), "{one} {other}");
        }
        for (one, other) in [('淼', '渺'), ('斌', '彬'), ('余', '佘'), ('芦', '卢')] {
            assert_ne!(canonical(fold(one)), canonical(fold(other)), "{one} {other}");
        }
    }
}
