//! A page for people: one self-contained HTML file in one style, with no script and nothing from elsewhere.

use std::fmt::{Display, Write as _};

const STYLE: &str = "
body{font:15px/1.5 system-ui,'Noto Sans CJK SC','Microsoft YaHei',sans-serif;color:#1d2733;max-width:62em;margin:2em auto;padding:0 1em}
h1{font-size:1.5em;margin-bottom:.2em}h2{font-size:1.1em;margin:1.6em 0 .4em}small,.quiet{color:#5b6875}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15em 1.2em}dt{color:#5b6875}dd{margin:0}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.35em .6em;border-bottom:1px solid #d8dee4;vertical-align:top}
th{font-weight:600;background:#f4f6f8}.tag{border-radius:.8em;padding:.05em .6em;background:#e8edf2;white-space:nowrap}
footer{margin-top:2.5em;border-top:1px solid #d8dee4;padding-top:.8em;font-size:.85em;color:#5b6875}@media print{body{margin:0}}";

/// What a browser may load for a page: nothing, whatever a cell made it say.
const NOTHING: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// A page in the making. What is put into it is markup: text goes through [`escape`] first.
pub struct Page(String);

impl Page {
    /// `style` is what this page adds to the common style; `title` is text, `heading` and `under` are markup.
    pub fn new(style: &str, title: &str, heading: &str, under: &str) -> Self {
        Self(format!(
            "<!doctype html><html lang=\"zh-CN\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{NOTHING}\">\
             <title>{}</title><style>{STYLE}{style}</style><h1>{heading}</h1><p class=\"quiet\">{under}</p>",
            escape(title)
        ))
    }

    pub fn put(&mut self, markup: impl Display) {
        write!(self.0, "{markup}").expect("a String takes everything");
    }

    pub fn finish(mut self, footer: &str) -> String {
        self.put(format_args!("<footer>{footer}</footer></html>\n"));
        self.0
    }
}

/// Text from files and messages, made harmless in HTML.
pub fn escape(text: &str) -> String {
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
    use super::*;

    #[test]
    fn what_comes_from_outside_cannot_become_markup() {
        assert_eq!(escape("<b onload='x'>&\""), "&lt;b onload=&#39;x&#39;&gt;&amp;&quot;");
        let page = Page::new("", "</title><script>", "H", "u").finish("f");
        assert!(!page.contains("<script") && page.contains("&lt;/title&gt;"), "{page}");
    }
}
