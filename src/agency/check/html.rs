//! The report with pictures, in Chinese and English side by side. It holds counts and row numbers, never a value.

use hedui_protocol::passes::FieldState;
use hedui_protocol::schema::Schema;
use indicatif::HumanCount;
use jiff::civil::Date;

use super::report::{DOMINANT, FieldReport, MISDECODED, PRIVATE_USE, PassReport, RARE, Report, share, words};
use super::trouble::Trouble;
use crate::page::{Page, escape};

/// Colours of Okabe and Ito (<https://jfly.uni-koeln.de/color/>), told apart by colour-blind eyes; every bar's parts
/// stand below it in its order, with their numbers, for eyes and printers without colour.
const STYLE: &str = "
.entry{display:grid;grid-template-columns:15em 1fr;gap:.1em 1.4em;padding:.6em 0;border-bottom:1px solid #d8dee4;break-inside:avoid}
.entry h3{font-size:1em;margin:0;overflow-wrap:anywhere}.entry p{margin:0}h2{break-after:avoid}
.bar,.step{display:block;width:100%;height:1.3em;background:#f4f6f8}.bar rect{stroke:#fff}
.key{list-style:none;margin:.25em 0 0;padding:0;display:flex;flex-wrap:wrap;gap:.1em 1.3em;font-size:.9em}
.swatch{overflow:visible;width:.8em;height:.8em;vertical-align:-.05em}.swatch rect{stroke:#5b6875}b,.number{font-variant-numeric:tabular-nums}
.meaning{columns:2;column-gap:2em;list-style:none;padding:0;margin:.4em 0}.meaning li{break-inside:avoid;padding:.15em 0 .15em 1.4em;text-indent:-1.4em}
.steps{display:grid;grid-template-columns:max-content 1fr max-content;gap:.2em .8em;align-items:center;margin:.8em 0}.number{text-align:right}
.c0{fill:#0072b2}.c1{fill:#56b4e9}.c2{fill:#009e73}.c3{fill:#f0e442}.c4{fill:#e69f00}.c5{fill:#d55e00}.c6{fill:#1d2733}.c7{fill:#dfe5ea}.c8{fill:#cc79a7}
.bad{background:#fde7c7;padding:0 .4em}
@media(max-width:45em){.entry{grid-template-columns:1fr}.meaning{columns:1}dl{grid-template-columns:1fr}dd{margin-bottom:.4em}}
@media print{.meaning{columns:2}}";

/// Every state from usable to lost: the order of a bar's parts, and their colours.
const STATES: [(FieldState, usize, &str, &str); 9] = [
    (FieldState::Valid, 0, "可用", "usable"),
    (FieldState::FifteenDigits, 1, "已换算为十八位，可用", "brought to eighteen; usable"),
    (FieldState::OtherDocument, 8, "护照、通行证等，按整个号码比对", "a passport, a permit: compared as a whole"),
    (
        FieldState::Repairable,
        2,
        "号码有一处错误，只能按可能的更正去找",
        "one thing is wrong with the number; found only by its likely repairs",
    ),
    (FieldState::Heaped, 3, "多为填表默认值，只用年份", "what forms fill in; only the year is used"),
    (
        FieldState::Uncertain,
        4,
        "有 ?、□、* 等或私用区字，只能部分使用",
        "? □ * or a private-use character; of use in part",
    ),
    (FieldState::Malformed, 5, "不能读成这种字段，不可用", "does not read as this kind of field; of no use"),
    (FieldState::Destroyed, 6, "末几位已丢失，不可用；须重新导出", "the last digits are gone; of no use, export again"),
    (FieldState::Missing, 7, "空白或“无”“不详”", "empty, or words for nothing"),
];

/// The narrowest part that is still seen, in percent of a bar.
const NARROWEST: f64 = 0.8;

/// One part of a bar.
struct Part<'r> {
    colour: usize,
    words: String,
    rows: u64,
    first: Option<&'r Trouble>,
}

pub fn page(report: &Report, file: &str, schema: &Schema, today: Date) -> String {
    let title = format!("{file} · 数据检查");
    let mut page = Page::new(STYLE, &title, "数据检查报告", "Report on a file before it is encoded");
    head(&mut page, report, file, schema, today);
    page.put("<h2>字段 <small>Fields</small></h2><ul class=\"meaning\">");
    for (state, colour, zh, en) in STATES {
        let (name_zh, name_en) = words(state);
        page.put(format_args!("<li>{} <b>{name_zh} {name_en}</b> <small>{zh} {en}</small></li>", swatch(colour)));
    }
    page.put("</ul>");
    report.fields.iter().for_each(|field| put_field(&mut page, field, report.rows));
    if !report.passes.is_empty() {
        put_passes(&mut page, report, schema);
        put_findable(&mut page, report);
    }
    page.finish(
        "本报告只有计数和行号，不含任何值。各部分按比例绘制，过窄的部分加宽到可见。生僻字指 GBK 20,902 字以外的汉字，许多系统写不出；\
         私用区字离开造字的系统就没有意义。<br>\
         This report holds counts and row numbers, never a value. Parts are drawn to scale; those too narrow to be seen \
         are widened until they are. Rare characters are those beyond the 20,902 of GBK, which many systems cannot write; \
         private-use characters mean nothing outside the system that made them.",
    )
}

fn head(page: &mut Page, report: &Report, file: &str, schema: &Schema, today: Date) {
    page.put("<dl>");
    for (name, value) in [
        ("文件 File", file.to_owned()),
        ("方案 Schema", schema.name.clone()),
        ("检查日期 Checked", today.to_string()),
        ("行数 Rows", HumanCount(report.rows).to_string()),
    ] {
        page.put(format_args!("<dt>{name}</dt><dd>{}</dd>", escape(&value)));
    }
    let troubles = [
        ("无编号 Without an id", Some(&report.empty_ids)),
        ("编号重复 Repeating an id", Some(&report.duplicate_ids)),
        ("数额不是数字 Payload is no number", report.bad_payloads.as_ref()),
        ("无人能找到 Found by nobody", Some(&report.unfindable)),
    ];
    for (name, trouble) in troubles.into_iter().filter_map(|(name, trouble)| Some((name, trouble?))) {
        let class = if trouble.rows > 0 { " class=\"bad\"" } else { "" };
        page.put(format_args!("<dt>{name}</dt><dd><span{class}>{}</span></dd>", counted(trouble, report.rows)));
    }
    page.put("</dl>");
}

fn put_field(page: &mut Page, field: &FieldReport, rows: u64) {
    let name = escape(&field.field);
    if !field.column {
        page.put(format_args!(
            "<div class=\"entry\"><h3>{name}</h3><p class=\"quiet\">文件中没有此列 no column in the file</p></div>"
        ));
        return;
    }
    let counts: [(u64, Option<&Trouble>); 9] = [
        (field.valid, None),
        (field.fifteen_digits, None),
        (field.other_document, None),
        (field.repairable.rows, Some(&field.repairable)),
        (field.heaped, None),
        (field.uncertain.rows, Some(&field.uncertain)),
        (field.malformed.rows, Some(&field.malformed)),
        (field.destroyed.rows, Some(&field.destroyed)),
        (field.missing, None),
    ];
    let parts = STATES.into_iter().zip(counts).map(|((state, colour, ..), (rows, first))| {
        let (zh, en) = words(state);
        Part { colour, words: format!("{zh} {en}"), rows, first }
    });
    page.put(format_args!(
        "<div class=\"entry\"><div><h3>{name}</h3><p>已填 filled <b>{}</b></p></div><div>{}",
        escape(&share(rows - field.missing, rows)),
        bar(&parts.collect::<Vec<_>>(), rows)
    ));
    for ((zh, en), trouble) in [
        (RARE, &field.rare_characters),
        (PRIVATE_USE, &field.private_use),
        (MISDECODED, &field.misdecoded),
        (DOMINANT, &field.dominant),
    ] {
        if trouble.rows > 0 {
            page.put(format_args!("<p><small>其中 of these: {zh} {en} {}</small></p>", counted(trouble, rows)));
        }
    }
    page.put("</div></div>");
}

fn put_passes(page: &mut Page, report: &Report, schema: &Schema) {
    page.put(
        "<h2>各轮次最多能找到的行 <small>Rows that each pass can find at most</small></h2>\
         <p class=\"quiet\">一个轮次比较几个字段；其中之一空缺、读不出或没有所比较的部分，这一轮必定找不到该行。能找到的行是上限，不是预测：对方写法相同才会找到。<br>\
         A pass compares some fields; a row where one of them is empty, unreadable or without the part that is compared is \
         lost to it for certain. What it can find is an upper bound and no forecast: it finds a row only if the other side \
         wrote the same.</p>",
    );
    for (pass, own) in report.passes.iter().zip(&schema.passes) {
        page.put(format_args!(
            "<div class=\"entry\"><div><h3>{}</h3><p class=\"quiet\"><small>{}</small></p></div><div>{}</div></div>",
            escape(&pass.pass),
            escape(&own.of.join(" + ")),
            bar(&reasons(pass), report.rows)
        ));
    }
}

/// What a pass can find, and the rest by the one field that is lacking, or by there being several.
fn reasons(pass: &PassReport) -> Vec<Part<'_>> {
    // a field has its colour in every pass
    const OF_A_FIELD: [usize; 6] = [4, 8, 2, 3, 1, 5];
    let part = |colour: usize, words: String, rows: u64| Part { colour, words, rows, first: None };
    let mut parts = vec![part(0, "能找到 can find".into(), pass.rows)];
    for want in &pass.for_want_of {
        let colour = OF_A_FIELD[want.position % OF_A_FIELD.len()];
        parts.push(part(colour, format!("只缺 lacks only {}", escape(&want.field)), want.alone));
    }
    let alone: u64 = pass.for_want_of.iter().map(|want| want.alone).sum();
    parts.push(part(6, "缺几个 lacks several".into(), pass.lost - alone));
    parts
}

fn put_findable(page: &mut Page, report: &Report) {
    const GROUPS: [(&str, usize); 4] =
        [("没有 none", 6), ("1–2 个 one or two", 5), ("3–5 个 three to five", 4), ("6 个以上 six or more", 0)];
    page.put(
        "<h2>每行可用的轮次 <small>Passes that can find a row</small></h2>\
         <p class=\"quiet\">可用轮次少的行，只要对方有一处写法不同，就最先漏掉。<br>\
         Rows that few passes can find are the first to be missed when a value differs on the other side.</p>",
    );
    let parts = GROUPS.iter().zip(report.findable()).map(|((words, colour), rows)| Part {
        colour: *colour,
        words: (*words).into(),
        rows,
        first: None,
    });
    page.put(bar(&parts.collect::<Vec<_>>(), report.rows));
    page.put("<div class=\"steps\">");
    let most = report.passes_a_row.iter().copied().max().unwrap_or(0).max(1);
    for (passes, rows) in report.passes_a_row.iter().enumerate() {
        let (_, colour) = GROUPS[match passes {
            0 => 0,
            1..=2 => 1,
            3..=5 => 2,
            _ => 3,
        }];
        let width = 100.0 * *rows as f64 / most as f64;
        page.put(format_args!(
            "<span class=\"number\">{passes}</span><svg class=\"step\" aria-hidden=\"true\">\
             <rect class=\"c{colour}\" width=\"{width:.2}%\" height=\"100%\"/></svg>\
             <span class=\"number\">{} <small>{}</small></span>",
            HumanCount(*rows),
            escape(&share(*rows, report.rows))
        ));
    }
    page.put("</div>");
}

/// A bar, and below it what its parts are, in its order.
fn bar(parts: &[Part<'_>], rows: u64) -> String {
    let parts: Vec<&Part<'_>> = parts.iter().filter(|part| part.rows > 0).collect();
    let (mut drawn, mut key, mut told, mut from) = (String::new(), String::new(), Vec::new(), 0.0);
    for (part, width) in parts.iter().zip(widths(&parts, rows)) {
        let (words, share) = (&part.words, escape(&share(part.rows, rows)));
        drawn += &format!(r#"<rect class="c{}" x="{from:.2}%" width="{width:.2}%" height="100%"/>"#, part.colour);
        let first = part.first.map(first_rows).unwrap_or_default();
        let (swatch, count) = (swatch(part.colour), HumanCount(part.rows));
        key += &format!("<li>{swatch} {words} <b>{count}</b> <small>{share}{first}</small></li>");
        told.push(format!("{words} {share}"));
        from += width;
    }
    let told = told.join(", ");
    format!(r#"<svg class="bar" role="img" aria-label="{told}">{drawn}</svg><ul class="key">{key}</ul>"#)
}

/// Each part's width in percent. What is too narrow to be seen is widened, at the cost of the widest.
fn widths(parts: &[&Part<'_>], rows: u64) -> Vec<f64> {
    let mut widths: Vec<f64> =
        parts.iter().map(|part| (100.0 * part.rows as f64 / rows as f64).max(NARROWEST)).collect();
    let over = widths.iter().sum::<f64>() - 100.0;
    if let Some(widest) = widths.iter_mut().max_by(|one, other| one.total_cmp(other)) {
        *widest -= over;
    }
    widths
}

fn swatch(colour: usize) -> String {
    format!(r#"<svg class="swatch" aria-hidden="true"><rect class="c{colour}" width="100%" height="100%"/></svg>"#)
}

fn counted(trouble: &Trouble, rows: u64) -> String {
    match trouble.rows {
        0 => "0".into(),
        count => {
            format!(
                "<b>{}</b> <small>{}{}</small>",
                HumanCount(count),
                escape(&share(count, rows)),
                first_rows(trouble)
            )
        }
    }
}

fn first_rows(trouble: &Trouble) -> String {
    let first: Vec<String> = trouble.first.iter().map(u64::to_string).collect();
    format!(" · 行 rows {}{}", first.join(", "), trouble.more())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_own_colour_and_its_count() {
        let trouble = |rows| Trouble { rows, ..Trouble::default() };
        let field = FieldReport {
            field: "f".into(),
            column: true,
            valid: 11,
            fifteen_digits: 12,
            other_document: 13,
            repairable: trouble(14),
            heaped: 15,
            uncertain: trouble(16),
            malformed: trouble(17),
            destroyed: trouble(18),
            in_powers: 0,
            missing: 19,
            rare_characters: trouble(0),
            private_use: trouble(0),
            misdecoded: trouble(0),
            dominant: trouble(0),
            seen: None,
        };
        let mut page = Page::new("", "", "", "");
        put_field(&mut page, &field, 135);
        let page = page.finish("");
        for ((state, colour, ..), rows) in STATES.into_iter().zip(11..) {
            let (zh, en) = words(state);
            let entry = format!("{} {zh} {en} <b>{rows}</b>", swatch(colour));
            assert_eq!(page.matches(&entry).count(), 1, "{en}");
            assert_eq!(page.matches(&format!(r#"class="c{colour}" width="100%""#)).count(), 1, "{en}");
        }
    }

    #[test]
    fn a_bar_is_full_and_its_narrow_parts_are_seen() {
        let parts = [99_990, 9, 1].map(|rows| Part { colour: 0, words: "<w>".into(), rows, first: None });
        let widths = widths(&parts.each_ref(), 100_000);
        assert!((widths.iter().sum::<f64>() - 100.0).abs() < 1e-9, "{widths:?}");
        assert!(widths.iter().all(|width| *width >= NARROWEST), "{widths:?}");
    }
}
