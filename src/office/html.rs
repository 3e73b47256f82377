//! A household's report as one self-contained page, in Chinese and English side by side.

use std::fmt::Write as _;

use hedui_protocol::decision::Band;
use hedui_protocol::manifest::Manifest;
use hedui_protocol::payload::{Payload, ValueBand};

use super::authorisation::Excluded;
use super::opening::{AgencyAnswer, AnswerState};
use super::report::{HouseholdReport, MemberReport};

const STYLE: &str = "
body{font:15px/1.5 system-ui,'Noto Sans CJK SC','Microsoft YaHei',sans-serif;color:#1d2733;max-width:62em;margin:2em auto;padding:0 1em}
h1{font-size:1.5em;margin-bottom:.2em}h2{font-size:1.1em;margin:1.6em 0 .4em}small,.quiet{color:#5b6875}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15em 1.2em}dt{color:#5b6875}dd{margin:0}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.35em .6em;border-bottom:1px solid #d8dee4;vertical-align:top}
th{font-weight:600;background:#f4f6f8}.tag{border-radius:.8em;padding:.05em .6em;background:#e8edf2;white-space:nowrap}
.answered{background:#d9f0e1}.over,.possible-match{background:#fde7c7}.pending{background:#e3ecfa}
footer{margin-top:2.5em;border-top:1px solid #d8dee4;padding-top:.8em;font-size:.85em;color:#5b6875}@media print{body{margin:0}}";

pub fn page(report: &HouseholdReport, manifest: &Manifest) -> String {
    let mut page = format!(
        "<!doctype html><html lang=\"zh-CN\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{0} · 核对报告</title><style>{STYLE}</style>\
         <h1>居民家庭经济状况核对报告</h1><p class=\"quiet\">Household means verification report</p>",
        escape(&report.household)
    );
    head(&mut page, report);
    for member in &report.members {
        person(&mut page, member, manifest);
    }
    page.push_str(
        "<footer>每一行只说明相应机构在所列日期的记录;「疑似」不释放任何数据,须另行确认。仅限本次救助使用。<br>\
         Each row speaks of one agency's record on the day given. A possible match releases nothing and must be confirmed \
         by other means. For this application only.</footer></html>\n",
    );
    page
}

fn head(page: &mut String, report: &HouseholdReport) {
    page.push_str("<dl>");
    let rows = [
        ("户编号 Household", report.household.clone()),
        ("委托书编号 Commission", report.commission_no.clone()),
        ("项目 Programme", report.programme.clone()),
        ("委托单位 Office", report.office.clone()),
        ("核对期间 Window", format!("{} – {}", report.window.from, report.window.to)),
        ("委托时间 Commissioned", report.issued_at.strftime("%Y-%m-%d %H:%M UTC").to_string()),
        ("打开时间 Opened", report.opened_at.strftime("%Y-%m-%d %H:%M UTC").to_string()),
    ];
    for (name, value) in rows {
        put(page, format_args!("<dt>{name}</dt><dd>{}</dd>", escape(&value)));
    }
    if let Some(refused) = &report.refused {
        put(page, format_args!("<dt>被拒绝 Refused</dt><dd class=\"over\">{}</dd>", escape(refused)));
    }
    page.push_str("</dl>");
}

fn person(page: &mut String, member: &MemberReport, manifest: &Manifest) {
    put(
        page,
        format_args!(
            "<h2>{} <small>{} · {}</small></h2>",
            escape(&member.name),
            escape(&member.relation),
            escape(&member.row_id)
        ),
    );
    if let Some(excluded) = member.excluded {
        put(page, format_args!("<p class=\"quiet\">未核对 Not asked about: {}</p>", excluded_words(excluded)));
        return;
    }
    page.push_str(
        "<table><tr><th>机构 Agency<th>反馈 Answer<th>匹配 Match<th>项目 Item<th>内容 Content<th>数据日期 As of</tr>",
    );
    for answer in &member.agencies {
        agency(page, answer, manifest);
    }
    page.push_str("</table>");
}

fn agency(page: &mut String, answer: &AgencyAnswer, manifest: &Manifest) {
    let (class, words) = state_words(answer.state);
    let name = escape(&answer.agency);
    let state = format!("<span class=\"tag {class}\">{words}</span>");
    if answer.records.is_empty() {
        let unopened = answer.unopened.first().map(|why| escape(why)).unwrap_or_default();
        put(page, format_args!("<tr><td>{name}<td>{state}<td><td><td>{unopened}<td></tr>"));
    }
    if answer.incomplete {
        let words = "记录过多,未全部列出 more records than an answer has room for";
        put(page, format_args!("<tr><td>{name}<td><span class=\"tag over\">{words}</span><td><td><td><td></tr>"));
    }
    for record in &answer.records {
        for item in &record.items {
            let known = manifest.agency(&answer.agency).and_then(|agency| agency.item(&item.item));
            let title = known.map_or_else(|| item.item.clone(), |item| format!("{} {}", item.title_zh, item.title));
            let (content, as_of) = (content(&item.payload), item.payload.as_of);
            let (band, title) = (band_words(record.band), escape(&title));
            put(
                page,
                format_args!(
                    "<tr><td>{name}<td>{state}<td>{band}<td>{title} <small>{}</small><td>{content}<td>{as_of}</tr>",
                    item.level
                ),
            );
        }
    }
}

fn content(payload: &Payload) -> String {
    if let Some(over) = payload.over_limit {
        let (class, words) =
            if over { ("over", "超限 over the limit") } else { ("answered", "未超限 within the limit") };
        return format!("<span class=\"tag {class}\">{words}</span>");
    }
    if let Some(band) = payload.band {
        return band_text(band);
    }
    match &payload.values {
        None => "有记录 on record".into(),
        Some(values) => {
            let value = |(name, value): (&String, &String)| format!("{} <b>{}</b>", escape(name), escape(value));
            values.iter().map(value).collect::<Vec<_>>().join("<br>")
        }
    }
}

fn band_text(band: ValueBand) -> String {
    match (band.from, band.below) {
        (Some(from), Some(below)) => format!("{from} – {below}"),
        (Some(from), None) => format!("≥ {from}"),
        (None, Some(below)) => format!("&lt; {below}"),
        (None, None) => "—".into(),
    }
}

fn state_words(state: AnswerState) -> (&'static str, &'static str) {
    match state {
        AnswerState::Answered => ("answered", "已反馈 answered"),
        AnswerState::NoRecord => ("", "查无此人 no record"),
        AnswerState::PossibleMatch => ("possible-match", "疑似 possible match"),
        AnswerState::Pending => ("pending", "待反馈 pending"),
        AnswerState::Declined => ("", "未予反馈 declined"),
        AnswerState::NotSubmitted => ("pending", "机构未提交数据 agency has submitted nothing"),
        AnswerState::NotCovered => ("", "未授权 not authorised"),
        AnswerState::Refused => ("over", "服务器拒绝 refused by the server"),
    }
}

fn band_words(band: Band) -> &'static str {
    match band {
        Band::Exact => "精确 exact",
        Band::Repaired => "修正 repaired",
        Band::Probable => "很可能 probable",
        Band::Possible => "疑似 possible",
    }
}

fn excluded_words(excluded: Excluded) -> &'static str {
    match excluded {
        Excluded::NoAuthorisation => "无授权 no authorisation",
        Excluded::Expired => "授权过期 authorisation expired",
        Excluded::Withdrawn => "授权撤回 authorisation withdrawn",
        Excluded::NotCovered => "授权不含所询机构 authorisation covers none of the agencies asked",
    }
}

fn put(page: &mut String, text: std::fmt::Arguments<'_>) {
    page.write_fmt(text).expect("a String takes everything");
}

/// Text from files and messages, made harmless in HTML.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_comes_from_outside_cannot_become_markup() {
        assert_eq!(super::escape("<b onload='x'>&\""), "&lt;b onload=&#39;x&#39;&gt;&amp;&quot;");
    }
}
