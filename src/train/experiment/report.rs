//! The comparison as Markdown. All that it says of the variants follows from what was measured.

use super::{DROPOUT, Experiment, Outcome, outcome::common_sizes};
use crate::{
    model::Config,
    train::{data::Dataset, recipe::Recipe},
};
use std::fmt::Write;

/// Name of the drawing that the report shows.
pub const CURVES: &str = "losses.svg";

/// The paper's number of training pictures, and of the tiles that it sees in 121 epochs.
const PAPER_PICTURES: u64 = 5000;
const PAPER_TILES: u64 = 121 * PAPER_PICTURES;
/// The command at the paper's size.
const FULL_SIZE: &str = "aez experiment paper --data stl10:stl10_binary --out paper";
/// Differences smaller than this many decibels are not told from none.
const NEGLIGIBLE: f64 = 0.05;

/// A variable of the experiment, the other one, and the pairs of outcomes without and with it: first without the other
/// one, then with it.
type Factor = (&'static str, &'static str, [(usize, usize); 2]);
const FACTORS: [Factor; 2] =
    [("Normalization", "dropout", [(0, 2), (1, 3)]), ("Dropout", "normalization", [(0, 1), (2, 3)])];

/// The whole report.
pub fn markdown(experiment: &Experiment, data: &Dataset, outcomes: &[Outcome; 4]) -> String {
    let mut text = format!(
        "# Normalization and dropout\n\n\
         The paper's four experiments: the network with and without input mapped to -1..1, with and without dropout of whole \
         channels (probability {DROPOUT}), each trained by the paper's recipe from the same starting weights on the same \
         pictures in the same order.\n\n\
         Made by `aez` {} with\n\n```sh\n{}\n```\n\n",
        env!("CARGO_PKG_VERSION"),
        experiment.command
    );
    // Writing to a string cannot fail.
    let _ = size(&mut text, experiment, data, outcomes);
    let _ = losses(&mut text, outcomes);
    let _ = files(&mut text, outcomes);
    let _ = conclusions(&mut text, outcomes);
    text
}

/// How the size of this experiment compares with the paper's.
fn size(
    text: &mut String,
    experiment: &Experiment,
    data: &Dataset,
    outcomes: &[Outcome],
) -> std::fmt::Result {
    let (recipe, config, paper) = (&experiment.options.recipe, experiment.options.config, Recipe::paper());
    let sources: Vec<String> =
        data.summary().iter().map(|(name, count)| format!("{count} of {name}")).collect();
    let tiles = outcomes[0].last().tiles;
    writeln!(text, "## Size\n\n| | here | the paper |\n| --- | --- | --- |")?;
    writeln!(
        text,
        "| training pictures | {} ({}) | {PAPER_PICTURES} of STL-10 |",
        data.len(),
        sources.join(", ")
    )?;
    writeln!(text, "| epochs | {} | {} |", recipe.epochs, paper.epochs)?;
    writeln!(text, "| tiles of a batch | {} | {} |", recipe.batch_size, paper.batch_size)?;
    writeln!(text, "| tiles seen | {tiles} | {PAPER_TILES} |")?;
    writeln!(text, "| channels | {} | {} |", config.channels, Config::default().channels)?;
    writeln!(text, "| parameters | {} | {} |\n", parameters(&config), parameters(&Config::default()))?;
    let share = tiles as f64 / PAPER_TILES as f64;
    let smaller = parameters(&config) < parameters(&Config::default());
    if share < 1.0 || smaller {
        let network = if smaller { ", by a smaller network" } else { "" };
        writeln!(
            text,
            "**This is smaller than the paper's experiment**: {:.2} % of the training{network}. What holds here need not \
             hold there. The whole of it, with STL-10 in the folder `stl10_binary`:\n\n```sh\n{FULL_SIZE}\n```\n",
            100.0 * share
        )?;
    }
    Ok(())
}

fn parameters(config: &Config) -> usize {
    config.encoder_parameters() + config.decoder_parameters()
}

fn losses(text: &mut String, outcomes: &[Outcome]) -> std::fmt::Result {
    writeln!(
        text,
        "## Losses\n\n![Training, validation and test loss of the four variants over the epochs]({CURVES})\n\n\
         At the end:\n\n\
         | variant | train loss | validation loss | test loss | validation PSNR, dB | seconds |\n\
         | --- | --- | --- | --- | --- | --- |"
    )?;
    for outcome in outcomes {
        let row = outcome.last();
        let losses = [row.train_loss, row.validation_loss, row.test_loss].map(|loss| number(loss, 6));
        let psnr = number(row.validation_psnr, 2);
        writeln!(
            text,
            "| {} | {} | {psnr} | {:.0} |",
            outcome.variant.name(),
            losses.join(" | "),
            row.seconds
        )?;
    }
    writeln!(
        text,
        "\nLosses are mean squared errors of pixel values in 0..1 for all variants: those that normalize do so within the \
         network, and map its output back, so that equal numbers are equal errors. (Measured in -1..1, an error would count \
         four times.) The training loss is the mean over the last epoch while the weights changed, with channels dropped \
         where there is dropout; it tells nothing of dropout's effect. The others are measured after the epoch on the same \
         tiles each time, nothing dropped, decoded values clamped to 0..1. The logs are `VARIANT.safetensors.csv`.\n"
    )
}

fn files(text: &mut String, outcomes: &[Outcome]) -> std::fmt::Result {
    writeln!(
        text,
        "## Files\n\nMean bytes of whole files and mean PSNR in dB of {} test tiles, each in a file of its own, at effort 0; \
         the network alone is the same model without rounding of the latents.\n",
        outcomes[0].tiles
    )?;
    let qualities: Vec<String> =
        outcomes[0].coded.iter().map(|coded| format!("quality {}", coded.quality.get())).collect();
    head(text, qualities.iter().map(String::as_str).chain(["network alone"]))?;
    for outcome in outcomes {
        let cells =
            outcome.coded.iter().map(|coded| format!("{:.1} bytes, {:.2} dB", coded.bytes, coded.psnr));
        let cells: Vec<String> = cells.chain([format!("{:.2} dB", outcome.network_psnr)]).collect();
        writeln!(text, "| {} | {} |", outcome.variant.name(), cells.join(" | "))?;
    }
    let sizes = common_sizes(outcomes);
    if sizes.is_empty() {
        return writeln!(text, "\nThe files of the variants have no size in common.\n");
    }
    writeln!(text, "\nPSNR in dB at equal bytes, interpolated:\n")?;
    let columns: Vec<String> = sizes.iter().map(|bytes| format!("{bytes} bytes")).collect();
    head(text, columns.iter().map(String::as_str))?;
    for outcome in outcomes {
        let cells = sizes.iter().map(|&bytes| number(outcome.psnr_at(bytes).unwrap_or(f64::NAN), 2));
        let cells: Vec<String> = cells.collect();
        writeln!(text, "| {} | {} |", outcome.variant.name(), cells.join(" | "))?;
    }
    writeln!(text)
}

/// The head of a table whose rows are variants.
fn head<'a>(text: &mut String, columns: impl Iterator<Item = &'a str> + Clone) -> std::fmt::Result {
    let names: Vec<&str> = columns.collect();
    writeln!(text, "| variant | {} |\n| ---{} |", names.join(" | "), " | ---".repeat(names.len()))
}

fn conclusions(text: &mut String, outcomes: &[Outcome]) -> std::fmt::Result {
    let sizes = common_sizes(outcomes);
    let bytes = sizes.get(sizes.len() / 2).copied();
    let loss = |outcome: &Outcome| Some(-10.0 * outcome.last().test_loss.log10()).filter(|db| db.is_finite());
    let file = |outcome: &Outcome| bytes.and_then(|bytes| outcome.psnr_at(bytes));
    let what = bytes.map_or("files".into(), |bytes| format!("files of {bytes} bytes"));
    writeln!(
        text,
        "## What the figures say\n\nGains in dB, by the test loss and by PSNR for {what}; negative where it harms:\n\n\
         | | test loss | {what} |\n| --- | --- | --- |"
    )?;
    for (name, other, pairs) in FACTORS {
        for (case, (without, with)) in ["without", "with"].into_iter().zip(pairs) {
            let gains = [gain(outcomes, (without, with), loss), gain(outcomes, (without, with), file)];
            let [loss, file] = gains.map(|gain| {
                gain.map_or("–".into(), |gain| format!("{:+.2}", (gain * 100.0).round() / 100.0 + 0.0))
            });
            writeln!(text, "| {name}, {case} {other} | {loss} | {file} |")?;
        }
    }
    writeln!(text)?;
    for (name, _, pairs) in FACTORS {
        let [loss, file] =
            [pairs.map(|pair| gain(outcomes, pair, loss)), pairs.map(|pair| gain(outcomes, pair, file))]
                .map(verdict);
        writeln!(text, "- {name}: for the test loss it {loss}; for {what} it {file}.")?;
    }
    if let Some((outcome, loss)) = best(outcomes, loss) {
        let loss = 10f64.powf(-loss / 10.0);
        writeln!(text, "- Lowest test loss: `{}`, {}.", outcome.variant.name(), number(loss, 6))?;
    }
    if let Some((outcome, psnr)) = best(outcomes, file) {
        writeln!(text, "- Best {what}: `{}`, {psnr:.2} dB.", outcome.variant.name())?;
    }
    writeln!(
        text,
        "\nLess than {NEGLIGIBLE} dB counts as no difference. Each variant was trained once, from one seed: how much of a \
         difference is chance was not measured."
    )
}

/// How much better the second of a pair is, in dB.
fn gain(
    outcomes: &[Outcome],
    (without, with): (usize, usize),
    score: impl Fn(&Outcome) -> Option<f64>,
) -> Option<f64> {
    Some(score(&outcomes[with])? - score(&outcomes[without])?)
}

fn best(outcomes: &[Outcome], score: impl Fn(&Outcome) -> Option<f64>) -> Option<(&Outcome, f64)> {
    let scored = outcomes.iter().filter_map(|outcome| Some((outcome, score(outcome)?)));
    scored.max_by(|a, b| a.1.total_cmp(&b.1))
}

/// What the gains in the two cases amount to.
fn verdict(gains: [Option<f64>; 2]) -> &'static str {
    let [Some(first), Some(second)] = gains else { return "cannot be compared" };
    let helps = |gain: f64| gain >= NEGLIGIBLE;
    let harms = |gain: f64| gain <= -NEGLIGIBLE;
    match ([first, second].map(helps), [first, second].map(harms)) {
        ([true, true], _) => "helps",
        (_, [true, true]) => "harms",
        ([false, false], [false, false]) => "makes no difference",
        (_, [false, false]) => "helps in one case and makes no difference in the other",
        ([false, false], _) => "harms in one case and makes no difference in the other",
        _ => "helps in one case and harms in the other",
    }
}

fn number(value: f64, digits: usize) -> String {
    if value.is_finite() { format!("{value:.digits$}") } else { "–".into() }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Variant, outcome::tests::outcome},
        *,
    };

    fn text(of: impl Fn(&mut String) -> std::fmt::Result) -> String {
        let mut text = String::new();
        of(&mut text).unwrap();
        text
    }

    #[test]
    fn conclusions_follow_from_the_figures() {
        // Normalization halves the loss and costs files a decibel; dropout does nothing.
        let of = |loss, psnr| move |variant| outcome(variant, loss, &[(20.0, psnr), (80.0, psnr + 2.0)]);
        let [plain, dropout, normalize, both] = Variant::ALL;
        let outcomes = [
            of(0.02, 12.0)(plain),
            of(0.02, 12.04)(dropout),
            of(0.01, 11.0)(normalize),
            of(0.01, 11.04)(both),
        ];
        let said = text(|text| conclusions(text, &outcomes));
        for line in [
            "| | test loss | files of 40 bytes |",
            "| Normalization, without dropout | +3.01 | -1.00 |",
            "| Dropout, with normalization | +0.00 | +0.04 |",
            "- Normalization: for the test loss it helps; for files of 40 bytes it harms.",
            "- Dropout: for the test loss it makes no difference; for files of 40 bytes it makes no difference.",
            "- Best files of 40 bytes: `dropout`, 13.04 dB.",
        ] {
            assert!(said.lines().any(|said| said == line), "{line:?} is missing in {said}");
        }
    }

    #[test]
    fn verdicts_weigh_both_cases() {
        let of = |a, b| verdict([Some(a), Some(b)]);
        assert_eq!(
            (of(0.2, 0.05), of(-0.2, -0.05), of(0.04, -0.04)),
            ("helps", "harms", "makes no difference")
        );
        assert!(of(0.3, 0.0).contains("helps in one case and makes no") && of(0.0, 0.3) == of(0.3, 0.0));
        assert!(of(-0.3, 0.0).contains("harms in one case and makes no") && of(0.0, -0.3) == of(-0.3, 0.0));
        assert!(of(-0.3, 0.3).contains("helps in one case and harms") && of(0.3, -0.3) == of(-0.3, 0.3));
        assert_eq!(verdict([None, Some(1.0)]), "cannot be compared");
    }

    #[test]
    fn what_cannot_be_compared_is_said() {
        let mut outcomes = Variant::ALL.map(|variant| outcome(variant, 0.01, &[(20.0, 9.0), (30.0, 10.0)]));
        outcomes[3] = outcome(Variant::ALL[3], f64::NAN, &[(90.0, 9.0), (95.0, 10.0)]);
        assert!(text(|text| files(text, &outcomes)).contains("no size in common"));
        let said = text(|text| conclusions(text, &outcomes));
        assert!(
            said.contains("| Dropout, with normalization | – | – |") && said.contains("cannot be compared")
        );
        assert!(!said.contains("NaN") && !text(|text| losses(text, &outcomes)).contains("NaN"));
    }
}
