//! The results as one page that asks for nothing else: pictures, drawings and style are inside of it.

#[cfg(test)]
mod tests;

use std::fmt::Write;

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{
    CODEC, Point, Results, Row,
    anchors::Anchor,
    gallery::{Exhibit, Version},
    peers::Programs,
    plot::{Metric, title},
};

/// All that is shown.
pub struct Page<'a> {
    pub results: &'a Results,
    /// The drawings, as of [`super::plot::draw`].
    pub plots: &'a [(Metric, String)],
    pub anchors: &'a [Anchor],
    pub exhibits: &'a [Exhibit],
    /// The curves of the model's training, an SVG drawing.
    pub training: Option<&'a str>,
    /// The pictures are centre squares, scaled to so many pixels.
    pub square: Option<u32>,
}

/// No browser will fetch anything for this page or run anything in it, whatever the names of pictures contain.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";
const STYLE: &str = include_str!("page.css");

impl Page<'_> {
    /// The page as HTML.
    #[must_use]
    pub fn html(&self) -> String {
        let sections: [(&str, &str, String); 6] = [
            ("codecs", "The codecs", self.summary()),
            ("curves", "Quality over size", self.curves()),
            ("bd-rate", "Bits at equal quality", self.comparisons()),
            ("pictures", "Pictures", self.pictures()),
            ("points", "All figures", self.points()),
            ("method", "How this was measured", self.method()),
        ];
        let (mut nav, mut main) = (String::new(), String::new());
        for (id, heading, body) in sections.iter().filter(|section| !section.2.is_empty()) {
            nav += &format!("<li><a href=\"#{id}\">{heading}</a></li>\n");
            main += &format!(
                "<section id=\"{id}\" aria-labelledby=\"{id}-h\">\n<h2 id=\"{id}-h\">{heading}</h2>\n{body}</section>\n"
            );
        }
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
             <link rel=\"icon\" href=\"data:,\">\n\
             <title>AEZ: size and quality</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
             <header>\n<h1>Size and quality</h1>\n<p class=\"soft\">{}</p>\n\
             <nav aria-label=\"Contents\"><ul>\n{nav}</ul></nav>\n</header>\n<main>\n{main}</main>\n\
             <footer><p>Made by <code>aez eval</code>, version {}.</p></footer>\n</body>\n</html>\n",
            self.lead(),
            env!("CARGO_PKG_VERSION"),
        )
    }

    fn lead(&self) -> String {
        let mut paths: Vec<_> = self.results.images.iter().map(|row| &row.path).collect();
        paths.sort();
        paths.dedup();
        let pictures = if paths.len() == 1 { "picture" } else { "pictures" };
        let size = match self.square {
            Some(edge) => format!("their centre squares, scaled to {edge} × {edge} pixels"),
            None => format!("{:.0} pixels each in the mean", self.results.mean_pixels()),
        };
        format!(
            "{} {pictures}, {size}. Sizes are those of whole files; figures are means over the pictures.",
            paths.len()
        )
    }

    fn summary(&self) -> String {
        let mut rows = Vec::new();
        for (codec, curve) in &self.results.curves {
            let Some((smallest, largest)) = curve.iter().zip(curve.iter().rev()).next() else { continue };
            let mut cells = vec![title(codec).to_owned()];
            for Point { bytes, distortion, .. } in [smallest, largest] {
                cells.push(format!("{bytes:.0}"));
                cells.push(format!("{:.2}", distortion.psnr));
            }
            let times = self.results.images.iter().filter(|row| row.codec == *codec);
            for time in [|row: &Row| row.encode_s, |row: &Row| row.decode_s] {
                let (count, sum) = times.clone().map(time).fold((0.0, 0.0), |(n, sum), s| (n + 1.0, sum + s));
                cells.push(format!("{:.1}", sum / count * 1000.0));
            }
            rows.push((codec == CODEC, cells));
        }
        let columns = [
            ("codec", true),
            ("lowest quality, bytes", false),
            ("PSNR, dB", false),
            ("highest quality, bytes", false),
            ("PSNR, dB", false),
            ("encode, ms", false),
            ("decode, ms", false),
        ];
        let caption = "The lowest and the highest quality that were measured. Times include the start of a process, but for AEZ.";
        table("about-codecs", caption, &columns, &rows)
    }

    fn curves(&self) -> String {
        let mut html = String::from("<div class=\"plots\">\n");
        for (metric, svg) in self.plots {
            let label =
                format!("{} over the bytes of a file; the figures are in the table below", metric.title());
            let svg = svg.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{label}\" "), 1);
            let _ = writeln!(html, "<figure>{svg}</figure>");
        }
        html += "</div>\n";
        if !self.anchors.is_empty() {
            html += "<p>Dashed curves were published: means over the 24 Kodak photographs, in bits a pixel, which became bytes for \
                     pictures as large as these. They compare with the others only where those were measured on the same \
                     photographs.</p>\n<details><summary>Where they were published</summary>\n<dl>\n";
            for Anchor { name, source, .. } in self.anchors {
                let source = source.as_deref().unwrap_or("no source is given");
                let _ = writeln!(html, "<dt>{}</dt><dd><code>{}</code></dd>", escape(name), escape(source));
            }
            html += "</dl></details>\n";
        }
        if let Some(svg) = self.training {
            let _ = writeln!(
                html,
                "<div class=\"plots\"><figure>{}<figcaption>The training of the model.</figcaption></figure></div>",
                image(
                    "image/svg+xml",
                    svg.as_bytes(),
                    "Training, validation and test loss of the model over the tiles seen",
                    None
                )
            );
        }
        html
    }

    fn comparisons(&self) -> String {
        let row = |found: super::Comparison| {
            let names = [found.codec, found.against].map(|codec| title(codec).to_owned());
            let [codec, against] = names;
            (false, vec![codec, against, found.percent(), found.remark(title)])
        };
        let rows: Vec<_> = self.results.comparisons().into_iter().map(row).collect();
        if rows.is_empty() {
            return String::new();
        }
        let caption = "BD-rate: how many more (+) or fewer (-) bits the first codec takes than the second at equal PSNR.";
        table(
            "about-bd-rate",
            caption,
            &[("codec", true), ("against", true), ("BD-rate", false), ("range", true)],
            &rows,
        )
    }

    fn pictures(&self) -> String {
        if self.exhibits.is_empty() {
            return String::new();
        }
        let mut html = String::from(
            "<p>The original, what AEZ makes of it, and what others make of it in no more bytes than the largest file of AEZ. \
             Where another codec cannot make so small a file, its smallest is shown, and its size is said.</p>\n",
        );
        self.exhibits.iter().for_each(|exhibit| html += &section(exhibit));
        html
    }

    fn points(&self) -> String {
        let mut rows = Vec::new();
        if let Some(network) = self.results.unquantized {
            let quality = [network.psnr, network.ms_ssim];
            let mut cells = ["the network of AEZ alone", "–", "–", "–"].map(str::to_owned).to_vec();
            cells.extend([format!("{:.2}", quality[0]), format!("{:.4}", quality[1])]);
            rows.push((true, cells));
        }
        for (codec, curve) in &self.results.curves {
            for Point { quality, bytes, bpp, distortion, .. } in curve {
                let figures = [format!("{bytes:.1}"), format!("{bpp:.4}")];
                let mut cells = vec![title(codec).to_owned(), quality.to_string()];
                cells.extend(figures);
                cells.extend([format!("{:.2}", distortion.psnr), format!("{:.4}", distortion.ms_ssim)]);
                rows.push((codec == CODEC, cells));
            }
        }
        let columns = [
            ("codec", true),
            ("quality", false),
            ("bytes", false),
            ("bits a pixel", false),
            ("PSNR, dB", false),
            ("MS-SSIM", false),
        ];
        let caption = "Means over the pictures; each codec has its own scale of quality.";
        let table = table("about-points", caption, &columns, &rows);
        format!("<details><summary>{} rows</summary>\n{table}</details>\n", rows.len())
    }

    fn method(&self) -> String {
        let mut html = String::from(
            "<p>The red, green and blue samples of each picture, 8 bits each, went through each codec; profiles, other metadata and \
             transparency were left out. PSNR is over these samples. MS-SSIM is the mean of that of the three channels. \
             BD-rate is the mean difference of the logarithms of the rates over the range of PSNR that both curves reach; curves \
             are drawn through their points by monotone cubic pieces, and never extrapolated.</p>\n",
        );
        if self.results.programs.is_empty() {
            return html;
        }
        html += "<p>Other codecs are the programs of this system, from the lowest quality that they offer. Each run is a process, which \
                 starts, reads a file and writes one: their times include that.</p>\n<dl>\n";
        for (codec, Programs { version, encode, decode }) in &self.results.programs {
            let _ = writeln!(
                html,
                "<dt>{}</dt><dd>{}<br><code>{}</code><br><code>{}</code></dd>",
                title(codec),
                escape(version),
                escape(encode),
                escape(decode)
            );
        }
        html + "</dl>\n"
    }
}

/// One picture in all its versions.
fn section(exhibit: &Exhibit) -> String {
    let Exhibit { name, width, height, original, versions } = exhibit;
    let (columns, rows) = exhibit.shown();
    let part = if (columns, rows) == (*width, *height) {
        String::new()
    } else {
        format!(", the middle {columns} × {rows} are shown")
    };
    let name = escape(name);
    let size = Some((columns, rows));
    let mut html = format!(
        "<section class=\"exhibit\">\n<h3>{name} <small>{width} × {height}{part}</small></h3>\n<ul class=\"versions\">\n\
         <li><figure>{}<figcaption><strong>original</strong></figcaption></figure></li>\n",
        image("image/png", original, &format!("{name}, original"), size)
    );
    for Version { codec, quality, bytes, distortion, too_large, png } in versions {
        let (class, note) = (
            if codec == CODEC { " class=\"ours\"" } else { "" },
            if *too_large { "<span class=\"note\">its smallest file</span>" } else { "" },
        );
        let (title, psnr) = (title(codec), distortion.psnr);
        let alt = format!("{name}, {title} at {bytes} bytes, {psnr:.2} dB");
        let _ = writeln!(
            html,
            "<li{class}><figure>{}<figcaption><strong>{title} {quality}</strong>{} bytes<br>{psnr:.2} dB{note}</figcaption></figure></li>",
            image("image/png", png, &alt, size),
            grouped(*bytes)
        );
    }
    html + "</ul>\n</section>\n"
}

/// `alt` is HTML already.
fn image(kind: &str, bytes: &[u8], alt: &str, size: Option<(u32, u32)>) -> String {
    let size =
        size.map_or(String::new(), |(width, height)| format!(" width=\"{width}\" height=\"{height}\""));
    format!("<img src=\"data:{kind};base64,{}\" alt=\"{alt}\"{size}>", BASE64_STANDARD.encode(bytes))
}

/// The heading of a column, and whether it holds text rather than numbers.
type Column = (&'static str, bool);

/// A table of which the first column names the rows, each with whether it is about this codec. It can be scrolled by keys.
/// `id` is the page's only one of its name.
fn table(id: &str, caption: &str, columns: &[Column], rows: &[(bool, Vec<String>)]) -> String {
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

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

/// A text as HTML, in elements and in attributes.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}
