//! The page of `hedui tune`: histogram, curve and tables, in Chinese and English side by side.

use std::fmt::Write as _;

use super::estimate::{Estimate, Point};
use super::report::Report;
use crate::page::{Page, escape};

const STYLE: &str = "
svg{width:100%;height:auto;margin:.4em 0}svg text{font-size:13px;fill:#1d2733}.axis{stroke:#8b97a3}.grid{stroke:#e3e8ed}
.matches{fill:#1b6ca8}.others{fill:#e0a458}.precision{stroke:#1b6ca8;fill:none;stroke-width:2}
.recall{stroke:#b3541e;fill:none;stroke-width:2;stroke-dasharray:7 4}.precision-band{fill:#1b6ca8;opacity:.16}
.recall-band{fill:#b3541e;opacity:.16}.mark{stroke:#1d2733;stroke-dasharray:2 3}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto}.wide svg{min-width:40em}td small{white-space:nowrap}";

/// Drawing area, in SVG units.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 56.0;
const BOTTOM: f64 = 34.0;
const TOP: f64 = 26.0;

pub fn page(report: &Report) -> String {
    let under = "Advice on thresholds, estimated without knowing the truth";
    let mut page = Page::new(STYLE, "Hedui · thresholds", "阈值建议", under);
    page.put("<dl>");
    for (name, value) in [
        ("模式 Schema", escape(&report.schema)),
        ("行数 Rows", format!("{} × {}", report.rows_a, report.rows_b)),
        ("候选对 Pairs that meet in some pass", report.pairs.to_string()),
        ("预计匹配 Matches expected", format!("{:.0}", report.matches)),
        ("其中任何轮次都找不到 Of them met in no pass", format!("{:.0}", report.unseen)),
        ("已审核 Reviewed pairs", report.reviewed.to_string()),
    ] {
        page.put(format_args!("<dt>{name}</dt><dd>{value}</dd>"));
    }
    page.put("</dl>");
    if report.is_of_few() {
        page.put("<p>候选对太少，估计不可靠：区间很宽，建议可能偏差很大。<br>So few pairs say little: the intervals are wide, and the advice may be far off.</p>");
    }
    page.put("<h2>建议 Advice</h2>");
    let advice = &report.recommended;
    points(
        &mut page,
        &[
            ("<b>possible</b> 建议 advised<br><small>准确率与召回率总体最佳 best together</small>", &advice.possible),
            (
                "<b>probable</b> 建议 advised<br><small>误配预计不超过千分之一 at most 1 in 1,000 false</small>",
                &advice.probable,
            ),
            ("possible 现有 the schema's", &report.schema_possible),
            ("probable 现有 the schema's", &report.schema_probable),
        ],
    );
    page.put("<h2>得分分布 <small>Histogram of scores, logarithmic</small></h2>");
    histogram(&mut page, report);
    page.put("<h2>阈值曲线 <small>Precision and recall by threshold</small></h2>");
    curve(&mut page, report);
    page.put("<h2>各轮次 <small>Passes</small></h2>");
    passes(&mut page, report);
    page.finish(
        "得分单位为比特；区间为 95 %。估计来自字段之间的一致情况，不使用真值；审核样本（--reviewed）可缩小区间。<br>\
         Scores are in bits; intervals are of 95 %. Estimated from how fields agree, without a truth; a reviewed sample \
         (--reviewed) narrows the intervals.",
    )
}

fn points(page: &mut Page, rows: &[(&str, &Point)]) {
    page.put(
        "<div class=wide><table><tr><th><th class=n>阈值 Threshold<th class=n>对 Pairs<th class=n>准确率 Precision<th class=n>召回率 Recall\
         <th class=n>误配/百万次查询 False a million rows</tr>",
    );
    for (name, point) in rows {
        let interval =
            |Estimate { estimate, low, high }| format!("{estimate:.4}<br><small>{low:.3} – {high:.3}</small>");
        page.put(format_args!(
            "<tr><td>{name}<td class=n>{:.1}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{:.0}</tr>",
            point.threshold,
            point.pairs,
            interval(point.precision),
            interval(point.recall),
            point.false_per_million
        ));
    }
    page.put("</table></div>");
}

/// Where scores lie on the horizontal axis.
struct Axis {
    from: f64,
    to: f64,
}

impl Axis {
    fn at(&self, score: f64) -> f64 {
        let share = (score.clamp(self.from, self.to) - self.from) / (self.to - self.from);
        LEFT + share * (WIDTH - LEFT - 10.0)
    }

    fn draw(&self, svg: &mut String) {
        let base = HEIGHT - BOTTOM;
        let (from, to) = (self.at(self.from), self.at(self.to));
        put(svg, format_args!("<line class=axis x1=\"{from:.1}\" y1=\"{base}\" x2=\"{to:.1}\" y2=\"{base}\"/>"));
        for bits in (self.from as i32..=self.to as i32).filter(|bits| bits % 4 == 0) {
            let (x, y) = (self.at(f64::from(bits)), base + 17.0);
            put(svg, format_args!("<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{bits}</text>"));
        }
        put(svg, format_args!("<text x=\"{to:.1}\" y=\"{}\" text-anchor=\"end\">比特 bits</text>", HEIGHT - 3.0));
    }
}

fn histogram(page: &mut Page, report: &Report) {
    let axis = Axis {
        from: report.histogram.first().map_or(0.0, |bar| bar.from),
        to: report.histogram.last().map_or(1.0, |bar| bar.from + 1.0),
    };
    let most = report.histogram.iter().map(|bar| bar.pairs as f64).fold(1.0, f64::max);
    // one pair still shows
    let height = |count: f64| (1.0 + count).log10() / (1.0 + most).log10() * (HEIGHT - BOTTOM - TOP);
    let mut svg = svg("得分分布 histogram of scores");
    let half = (axis.at(1.0) - axis.at(0.0)) / 2.0 - 1.0;
    for bar in &report.histogram {
        let others = (bar.pairs as f64 - bar.matches).max(0.0);
        for (class, count, x) in
            [("matches", bar.matches, axis.at(bar.from)), ("others", others, axis.at(bar.from) + half)]
        {
            let tall = height(count);
            let y = HEIGHT - BOTTOM - tall;
            put(
                &mut svg,
                format_args!(
                    "<rect class={class} x=\"{x:.1}\" y=\"{y:.1}\" width=\"{half:.1}\" height=\"{tall:.1}\">\
                     <title>{:.0} – {:.0}: {count:.1}</title></rect>",
                    bar.from,
                    bar.from + 1.0
                ),
            );
        }
    }
    let mut decade = 1.0;
    while decade <= most {
        let y = HEIGHT - BOTTOM - height(decade);
        put(
            &mut svg,
            format_args!("<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{decade}</text>", LEFT - 6.0, y + 4.0),
        );
        decade *= 10.0;
    }
    axis.draw(&mut svg);
    marks(&mut svg, &axis, report);
    page.put(format_args!("<div class=wide>{svg}</svg></div>"));
    page.put(
        "<p class=quiet><svg style=\"width:1em\" viewBox=\"0 0 9 9\"><rect class=matches width=9 height=9 /></svg> 预计匹配 matches expected \
         · <svg style=\"width:1em\" viewBox=\"0 0 9 9\"><rect class=others width=9 height=9 /></svg> 其他 others</p>",
    );
}

fn curve(page: &mut Page, report: &Report) {
    let axis = Axis {
        from: report.curve.first().map_or(0.0, |point| point.threshold),
        to: report.curve.last().map_or(1.0, |point| point.threshold),
    };
    let ends = report.curve.iter().flat_map(|point| [point.precision.low, point.recall.low]);
    let floor = (ends.fold(1.0, f64::min) * 10.0).floor() / 10.0;
    let y = |share: f64| HEIGHT - BOTTOM - (share - floor) / (1.0 - floor) * (HEIGHT - BOTTOM - TOP);
    let mut svg = svg("准确率与召回率 precision and recall by threshold");
    for tenth in (floor * 10.0).round() as i32..=10 {
        let (share, x2) = (f64::from(tenth) / 10.0, axis.at(axis.to));
        let at = y(share);
        put(&mut svg, format_args!("<line class=grid x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{x2:.1}\" y2=\"{at:.1}\"/>"));
        put(
            &mut svg,
            format_args!("<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{share:.1}</text>", LEFT - 6.0, at + 4.0),
        );
    }
    for (class, of) in
        [("precision", (|point| point.precision) as fn(&Point) -> Estimate), ("recall", |point| point.recall)]
    {
        let place = |point: &Point, share: f64| format!("{:.1},{:.1}", axis.at(point.threshold), y(share));
        let low = report.curve.iter().map(|point| place(point, of(point).low));
        let high = report.curve.iter().rev().map(|point| place(point, of(point).high));
        let band: Vec<String> = low.chain(high).collect();
        let line: Vec<String> = report.curve.iter().map(|point| place(point, of(point).estimate)).collect();
        put(&mut svg, format_args!("<polygon class={class}-band points=\"{}\"/>", band.join(" ")));
        put(&mut svg, format_args!("<polyline class={class} points=\"{}\"/>", line.join(" ")));
    }
    axis.draw(&mut svg);
    marks(&mut svg, &axis, report);
    page.put(format_args!("<div class=wide>{svg}</svg></div>"));
    page.put(
        "<p class=quiet><svg style=\"width:2.4em\" viewBox=\"0 0 24 9\"><line class=precision x2=24 y1=5 y2=5 /></svg> 准确率 precision \
         · <svg style=\"width:2.4em\" viewBox=\"0 0 24 9\"><line class=recall x2=24 y1=5 y2=5 /></svg> 召回率 recall</p>",
    );
}

/// The advised thresholds, each named on a line of its own on the side where there is room.
fn marks(svg: &mut String, axis: &Axis, report: &Report) {
    let (possible, probable) = (report.recommended.possible.threshold, report.recommended.probable.threshold);
    for (name, threshold, y) in [("possible", possible, 15), ("probable", probable, 30)] {
        let x = axis.at(threshold);
        let (anchor, beside) = if x > WIDTH / 2.0 { ("end", x - 4.0) } else { ("start", x + 4.0) };
        put(svg, format_args!("<line class=mark x1=\"{x:.1}\" y1=\"4\" x2=\"{x:.1}\" y2=\"{}\"/>", HEIGHT - BOTTOM));
        put(
            svg,
            format_args!("<text x=\"{beside:.1}\" y=\"{y}\" text-anchor=\"{anchor}\">{name} {threshold:.1}</text>"),
        );
    }
}

fn passes(page: &mut Page, report: &Report) {
    page.put(
        "<div class=wide><table><tr><th>轮次 Pass<th class=n>对 Pairs<th class=n>准确率 Precision<th class=n>召回率 Recall\
         <th class=n>仅由此找到 Found by it alone</tr>",
    );
    for pass in &report.passes {
        page.put(format_args!(
            "<tr><td>{}<td class=n>{}<td class=n>{:.4}<td class=n>{:.4}<td class=n>{:.0}</tr>",
            escape(&pass.pass),
            pass.pairs,
            pass.precision.estimate,
            pass.recall.estimate,
            pass.alone
        ));
    }
    page.put("</table></div>");
}

fn svg(title: &str) -> String {
    format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">")
}

fn put(svg: &mut String, markup: std::fmt::Arguments<'_>) {
    svg.write_fmt(markup).expect("a String takes everything");
}
