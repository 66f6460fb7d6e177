//! Parts of HTML pages.

use std::fmt::Write;

use base64::{Engine, prelude::BASE64_STANDARD};

/// An embedded image. `alt` is escaped already, `kind` is the media type.
pub(super) fn image(kind: &str, bytes: &[u8], alt: &str, size: Option<(u32, u32)>) -> String {
    let size =
        size.map_or(String::new(), |(width, height)| format!(" width=\"{width}\" height=\"{height}\""));
    format!("<img src=\"data:{kind};base64,{}\" alt=\"{alt}\"{size}>", BASE64_STANDARD.encode(bytes))
}

/// The heading of a column, and whether the column has text rather than numbers.
pub(super) type Column = (&'static str, bool);

/// A table whose first column has the headings of the rows. Each row has a flag: whether it is about AEZ. The table can be
/// scrolled with the keyboard. `id` must be unique in the page.
pub(super) fn table(id: &str, caption: &str, columns: &[Column], rows: &[(bool, Vec<String>)]) -> String {
    let mut html = format!(
        "<p id=\"{id}\">{caption}</p>\n<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-labelledby=\"{id}\">\n\
         <table aria-labelledby=\"{id}\">\n<thead><tr>"
    );
    let class = |&(_, text): &Column| if text { " class=\"text\"" } else { "" };
    for column in columns {
        let _ = write!(html, "<th scope=\"col\"{}>{}</th>", class(column), column.0);
    }
    html += "</tr></thead>\n<tbody>\n";
    for (ours, cells) in rows {
        html += if *ours { "<tr class=\"ours\">" } else { "<tr>" };
        for (index, (cell, column)) in cells.iter().zip(columns).enumerate() {
            let (tag, scope) = if index == 0 { ("th", " scope=\"row\"") } else { ("td", "") };
            let _ = write!(html, "<{tag}{scope}{}>{}</{tag}>", class(column), escape(cell));
        }
        html += "</tr>\n";
    }
    html + "</tbody>\n</table>\n</div>\n"
}

/// A number with its digits in groups of three.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

/// A text as HTML, for the content of elements and for attributes.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
