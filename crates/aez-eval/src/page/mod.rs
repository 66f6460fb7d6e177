//! A report of the results as one HTML page. Pictures, charts and styles are embedded: the page loads nothing and runs no scripts.

mod html;
#[cfg(test)]
mod tests;

use std::fmt::Write;

use html::{escape, grouped, image, table};

use crate::{
    CODEC, Comparison, Distortion, Point, Results, Row,
    anchors::Anchor,
    external::Programs,
    gallery::{Sample, Version},
    plot::{Metric, display_name},
};

/// The contents of a report. [`Page::html`] makes the page.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Page<'a> {
    /// The measurements.
    pub results: &'a Results,
    /// Charts as SVG documents, made by [`plot::draw`](crate::plot::draw).
    pub plots: &'a [(Metric, String)],
    /// The published curves that the charts show.
    pub anchors: &'a [Anchor],
    /// Pictures to show.
    pub samples: &'a [Sample],
    /// Chart of the losses during the training of the model, an SVG document.
    pub training: Option<&'a str>,
    /// Edge in pixels that the centre squares of the pictures were scaled to. `None`: whole pictures were measured.
    pub square: Option<u32>,
}

/// Forbids browsers to load anything for the page and to run scripts in it, whatever the names of pictures contain.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";
const STYLE: &str = include_str!("page.css");

impl<'a> Page<'a> {
    /// A report of the measurements only.
    #[must_use]
    pub fn new(results: &'a Results) -> Self {
        Self { results, plots: &[], anchors: &[], samples: &[], training: None, square: None }
    }

    /// The page as an HTML document.
    #[must_use]
    pub fn html(&self) -> String {
        let sections: [(&str, &str, String); 6] = [
            ("codecs", "Codecs", self.summary()),
            ("curves", "Quality over file size", self.curves()),
            ("bd-rate", "File size at equal quality", self.comparisons()),
            ("pictures", "Sample pictures", self.samples()),
            ("points", "All measurements", self.points()),
            ("method", "Method", self.method()),
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
             <title>AEZ: file size and quality</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
             <header>\n<h1>File size and quality</h1>\n<p class=\"soft\">{}</p>\n\
             <nav aria-label=\"Contents\"><ul>\n{nav}</ul></nav>\n</header>\n<main>\n{main}</main>\n\
             <footer><p>Made by <code>aez eval</code>, version {}.</p></footer>\n</body>\n</html>\n",
            self.lead(),
            env!("CARGO_PKG_VERSION"),
        )
    }

    /// What was measured, in one sentence.
    fn lead(&self) -> String {
        let mut paths: Vec<_> = self.results.images.iter().map(|row| &row.path).collect();
        paths.sort();
        paths.dedup();
        let pictures = if paths.len() == 1 { "picture" } else { "pictures" };
        let size = match self.square {
            Some(edge) => format!("their centre squares, scaled to {edge} × {edge} pixels"),
            None => format!("{:.0} pixels each on average", self.results.mean_pixels()),
        };
        format!(
            "{} {pictures}, {size}. Sizes are those of whole files. All values are averages over the pictures.",
            paths.len()
        )
    }

    fn summary(&self) -> String {
        let mut rows = Vec::new();
        for (codec, curve) in &self.results.curves {
            let Some((smallest, largest)) = curve.iter().zip(curve.iter().rev()).next() else { continue };
            let mut cells = vec![display_name(codec).to_owned()];
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
        let caption = "The lowest and the highest quality that were measured. Times of codecs other than AEZ include the start of a \
                       process.";
        table("about-codecs", caption, &columns, &rows)
    }

    fn curves(&self) -> String {
        let mut html = String::from("<div class=\"plots\">\n");
        for (metric, svg) in self.plots {
            let label = format!("{} over file size; the values are in the table below", metric.label());
            let svg = svg.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{label}\" "), 1);
            let _ = writeln!(html, "<figure>{svg}</figure>");
        }
        html += "</div>\n";
        if !self.anchors.is_empty() {
            html += "<p>Dashed curves are published ones: averages over the 24 pictures of the Kodak test set. Their rates in bits per \
                     pixel were converted to bytes for pictures of the average size of those measured here. They are comparable with the \
                     other curves only if those were measured on the same pictures.</p>\n\
                     <details><summary>Sources of the published curves</summary>\n<dl>\n";
            for Anchor { name, source, .. } in self.anchors {
                let source = source.as_deref().unwrap_or("not given");
                let _ = writeln!(html, "<dt>{}</dt><dd><code>{}</code></dd>", escape(name), escape(source));
            }
            html += "</dl></details>\n";
        }
        if let Some(svg) = self.training {
            let _ = writeln!(
                html,
                "<div class=\"plots\"><figure>{}<figcaption>Losses during the training of the model.</figcaption></figure></div>",
                image(
                    "image/svg+xml",
                    svg.as_bytes(),
                    "Training, validation and test loss of the model over the number of training tiles",
                    None
                )
            );
        }
        html
    }

    fn comparisons(&self) -> String {
        let row = |found: Comparison| {
            let [codec, against] = [found.codec, found.against].map(|codec| display_name(codec).to_owned());
            let metric = found.metric.name().to_owned();
            (false, vec![codec, against, metric, found.percent(), found.remark(display_name)])
        };
        let metrics = [Metric::Psnr, Metric::Ssimulacra2].into_iter();
        let rows: Vec<_> = metrics.flat_map(|metric| self.results.comparisons(metric)).map(row).collect();
        if rows.is_empty() {
            return String::new();
        }
        let caption = "BD-rate: average difference in file size between the first codec and the second at equal quality. Negative: \
                       the files of the first are smaller.";
        table(
            "about-bd-rate",
            caption,
            &[("codec", true), ("against", true), ("at equal", true), ("BD-rate", false), ("range", true)],
            &rows,
        )
    }

    fn samples(&self) -> String {
        if self.samples.is_empty() {
            return String::new();
        }
        let mut html = String::from(
            "<p>The original, the decoded pictures of AEZ, and those of the other codecs at the same size: the best file that is not \
             larger than the largest file of AEZ. If a codec cannot make so small a file, its smallest one is shown and marked.</p>\n",
        );
        self.samples.iter().for_each(|sample| html += &section(sample));
        html
    }

    fn points(&self) -> String {
        let mut rows = Vec::new();
        if let Some(network) = self.results.unquantized {
            let mut cells = ["AEZ without quantization", "–", "–", "–"].map(str::to_owned).to_vec();
            cells.extend(quality_cells(network));
            rows.push((true, cells));
        }
        for (codec, curve) in &self.results.curves {
            for Point { quality, bytes, bpp, distortion, .. } in curve {
                let figures = [format!("{bytes:.1}"), format!("{bpp:.4}")];
                let mut cells = vec![display_name(codec).to_owned(), quality.to_string()];
                cells.extend(figures);
                cells.extend(quality_cells(*distortion));
                rows.push((codec == CODEC, cells));
            }
        }
        let columns = [
            ("codec", true),
            ("quality", false),
            ("bytes", false),
            ("bits per pixel", false),
            ("PSNR, dB", false),
            ("MS-SSIM", false),
            ("SSIMULACRA 2", false),
        ];
        let caption = "Averages over the pictures. Each codec has its own scale of quality.";
        let table = table("about-points", caption, &columns, &rows);
        format!("<details><summary>{} rows</summary>\n{table}</details>\n", rows.len())
    }

    fn method(&self) -> String {
        let mut html = String::from(
            "<p>Each codec encoded the red, green and blue samples of each picture with 8 bits per sample, without alpha channel, colour \
             profile and other metadata. PSNR is computed over these samples. MS-SSIM is the average over the three channels. SSIMULACRA \
             2 follows the judgement of people: 100 for equal pictures, 90 where a difference is hard to see, negative for very low \
             quality. BD-rate is the average difference of the logarithms of the rates over the range of quality that both curves cover. Curves are \
             interpolated by monotone piecewise cubic polynomials and not extrapolated.</p>\n",
        );
        if self.results.programs.is_empty() {
            return html;
        }
        html += "<p>The other codecs are the programs installed on this system, measured from their lowest quality. Each run is a process that \
                 reads and writes files, and the times include that.</p>\n<dl>\n";
        for (codec, Programs { version, encode, decode }) in &self.results.programs {
            let _ = writeln!(
                html,
                "<dt>{}</dt><dd>{}<br><code>{}</code><br><code>{}</code></dd>",
                display_name(codec),
                escape(version),
                escape(encode),
                escape(decode)
            );
        }
        html + "</dl>\n"
    }
}

/// One sample picture in all its versions.
fn section(sample: &Sample) -> String {
    let Sample { name, width, height, original, versions } = sample;
    let (columns, rows) = sample.shown();
    let part = if (columns, rows) == (*width, *height) {
        String::new()
    } else {
        format!(", the central {columns} × {rows} are shown")
    };
    let name = escape(name);
    let size = Some((columns, rows));
    let mut html = format!(
        "<section class=\"sample\">\n<h3>{name} <small>{width} × {height}{part}</small></h3>\n<ul class=\"versions\">\n\
         <li><figure>{}<figcaption><strong>original</strong></figcaption></figure></li>\n",
        image("image/png", original, &format!("{name}, original"), size)
    );
    for Version { codec, quality, bytes, distortion, too_large, png } in versions {
        let (class, note) = (
            if codec == CODEC { " class=\"ours\"" } else { "" },
            if *too_large { "<span class=\"note\">its smallest file</span>" } else { "" },
        );
        let (codec, psnr) = (display_name(codec), distortion.psnr);
        let alt = format!("{name}, {codec} at {bytes} bytes, {psnr:.2} dB");
        let _ = writeln!(
            html,
            "<li{class}><figure>{}<figcaption><strong>{codec} {quality}</strong>{} bytes<br>{psnr:.2} dB{note}</figcaption></figure></li>",
            image("image/png", png, &alt, size),
            grouped(*bytes)
        );
    }
    html + "</ul>\n</section>\n"
}

/// PSNR, MS-SSIM and SSIMULACRA 2.
fn quality_cells(Distortion { psnr, ms_ssim, ssimulacra2 }: Distortion) -> [String; 3] {
    let ssimulacra2 = ssimulacra2.map_or_else(|| "–".into(), |value| format!("{value:.2}"));
    [format!("{psnr:.2}"), format!("{ms_ssim:.4}"), ssimulacra2]
}
