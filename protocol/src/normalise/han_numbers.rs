//! Numbers in Han numerals: 一九四九, 十一, 廿九, 一百零一 (SPEC 4.8, 4.10).

/// Every run of Han numerals as a number.
pub fn in_figures(text: &str) -> String {
    in_figures_before(text, |_| true)
}

/// Runs of Han numerals as numbers where such a character, or the end, follows; others stay as they are.
pub fn in_figures_before(text: &str, counts: impl Fn(char) -> bool) -> String {
    let mut figures = String::new();
    let mut run = String::new();
    for c in text.chars().chain(['\n']) {
        if numeral(c).is_some() {
            run.push(c);
            continue;
        }
        let run = std::mem::take(&mut run);
        figures.push_str(&if counts(c) { number(&run) } else { run });
        figures.push(c);
    }
    figures.pop();
    figures
}

pub fn numeral(c: char) -> Option<u32> {
    match c {
        '零' | '○' | '〇' => Some(0),
        '廿' => Some(20),
        '卅' => Some(30),
        '百' => Some(100),
        '一' => Some(1),
        '二' => Some(2),
        '三' => Some(3),
        '四' => Some(4),
        '五' => Some(5),
        '六' => Some(6),
        '七' => Some(7),
        '八' => Some(8),
        '九' => Some(9),
        '十' => Some(10),
        _ => None,
    }
}

/// Tens and hundreds where digits stand before and behind them as they should; digit by digit otherwise.
fn number(run: &str) -> String {
    let values: Vec<u32> = run.chars().filter_map(numeral).collect();
    let is_digit = |value: u32| (1..10).contains(&value);
    let counted = values.iter().any(|value| *value >= 10)
        && !values.windows(2).any(|pair| if pair[1] < 10 { is_digit(pair[0]) } else { pair[0] >= 20 });
    if !counted {
        return values.iter().map(u32::to_string).collect();
    }
    let (mut sum, mut digit) = (0, 0);
    for value in values {
        match value {
            0..10 => digit = value,
            10 | 100 => sum += value * std::mem::take(&mut digit).max(1),
            _ => sum += value,
        }
    }
    (sum + digit).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numerals_are_counted_or_read_digit_by_digit() {
        for (text, figures) in [
            ("一九四九年", "1949年"),
            ("二〇〇〇年三月三十", "2000年3月30"),
            ("十", "10"),
            ("十一", "11"),
            ("二十一", "21"),
            ("廿九", "29"),
            ("卅一", "31"),
            ("一百零一号", "101号"),
            ("一百二十号", "120号"),
            ("二百号", "200号"),
            ("一〇一室", "101室"),
        ] {
            assert_eq!(in_figures(text), figures);
        }
    }

    #[test]
    fn only_what_is_counted_is_a_number() {
        let counted = |text| in_figures_before(text, |c| matches!(c, '号' | '段'));
        assert_eq!(counted("建设二路一段三十号"), "建设二路1段30号");
        assert_eq!(counted("一二三"), "一二三");
    }
}
