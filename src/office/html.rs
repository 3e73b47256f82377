//! A household's report as one self-contained page, in Chinese and English side by side.

use hedui_protocol::decision::Band;
use hedui_protocol::manifest::Manifest;
use hedui_protocol::payload::{Payload, ValueBand};

use super::authorisation::Excluded;
use super::changes::What;
use super::opening::{AgencyAnswer, AnswerState};
use super::report::{HouseholdReport, MemberReport};
use crate::page::{Page, escape};

const STYLE: &str =
    ".answered{background:#d9f0e1}.over,.possible-match{background:#fde7c7}.pending{background:#e3ecfa}";

pub fn page(report: &HouseholdReport, manifest: &Manifest) -> String {
    let mut page = Page::new(
        STYLE,
        &format!("{} · 核对报告", report.household),
        "居民家庭经济状况核对报告",
        "Household means verification report",
    );
    head(&mut page, report);
    news(&mut page, report);
    for member in &report.members {
        person(&mut page, member, manifest);
    }
    page.finish(
        "每一行只说明相应机构在所列日期的记录；「疑似」不释放任何数据，须另行确认。仅限本次救助使用。<br>\
         Each row speaks of one agency's record on the day given. A possible match releases nothing and must be confirmed \
         by other means. For this application only.",
    )
}

fn head(page: &mut Page, report: &HouseholdReport) {
    page.put("<dl>");
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
        page.put(format_args!("<dt>{name}</dt><dd>{}</dd>", escape(&value)));
    }
    if let Some(refused) = &report.refused {
        page.put(format_args!("<dt>被拒绝 Refused</dt><dd class=\"over\">{}</dd>", escape(refused)));
    }
    page.put("</dl>");
}

/// What the report before this one did not say.
fn news(page: &mut Page, report: &HouseholdReport) {
    if report.changes.is_empty() {
        return;
    }
    page.put("<h2>与上次报告相比 <small>New since the report before</small></h2><ul>");
    for change in &report.changes {
        let person = report.members.iter().find(|member| member.row_id == change.row_id);
        let name = person.map_or(&change.row_id, |person| &person.name);
        let words = match change.what {
            What::New => "新增记录 new record",
            What::Changed => "内容有变 changed",
            What::Gone => "记录已消失 gone",
            What::Answer => "反馈有变 answer changed",
        };
        page.put(format_args!(
            "<li>{} · {} <span class=\"tag over\">{words}</span></li>",
            escape(name),
            escape(&change.agency)
        ));
    }
    page.put("</ul>");
}

fn person(page: &mut Page, member: &MemberReport, manifest: &Manifest) {
    page.put(format_args!(
        "<h2>{} <small>{} · {}</small></h2>",
        escape(&member.name),
        escape(&member.relation),
        escape(&member.row_id)
    ));
    if let Some(excluded) = member.excluded {
        page.put(format_args!("<p class=\"quiet\">未核对 Not asked about: {}</p>", excluded_words(excluded)));
        return;
    }
    page.put(
        "<table><tr><th>机构 Agency<th>反馈 Answer<th>匹配 Match<th>项目 Item<th>内容 Content<th>数据日期 As of</tr>",
    );
    for answer in &member.agencies {
        agency(page, answer, manifest);
    }
    page.put("</table>");
}

fn agency(page: &mut Page, answer: &AgencyAnswer, manifest: &Manifest) {
    let (class, words) = state_words(answer.state);
    let name = escape(&answer.agency);
    let state = format!("<span class=\"tag {class}\">{words}</span>");
    if answer.records.is_empty() {
        let unopened = answer.unopened.first().map(|why| escape(why)).unwrap_or_default();
        page.put(format_args!("<tr><td>{name}<td>{state}<td><td><td>{unopened}<td></tr>"));
    }
    if answer.incomplete {
        let words = "记录过多，未全部列出 more records than an answer has room for";
        page.put(format_args!("<tr><td>{name}<td><span class=\"tag over\">{words}</span><td><td><td><td></tr>"));
    }
    for record in &answer.records {
        for item in &record.items {
            let known = manifest.agency(&answer.agency).and_then(|agency| agency.item(&item.item));
            let title = known.map_or_else(|| item.item.clone(), |item| format!("{} {}", item.title_zh, item.title));
            let (content, as_of) = (content(&item.payload), item.payload.as_of);
            let (band, title) = (band_words(record.band), escape(&title));
            page.put(format_args!(
                "<tr><td>{name}<td>{state}<td>{band}<td>{title} <small>{}</small><td>{content}<td>{as_of}</tr>",
                item.level
            ));
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
