//! The report as Markdown. Its conclusions follow from the measurements.

use super::{DROPOUT, Experiment, Outcome, outcome::common_sizes};
use crate::{
    data::Dataset,
    log::{NORMALIZED_LOSS, Row},
    measure::MEASURED_TILES,
    recipe::Recipe,
};
use aez_core::tiled::Config;
use std::fmt::Write;

/// Name of the chart that the report shows.
pub const CURVES: &str = "losses.svg";

/// Number of training pictures in the paper, and number of tiles in its 121 epochs.
const PAPER_PICTURES: u64 = 5000;
const PAPER_TILES: u64 = 121 * PAPER_PICTURES;
/// The command for an experiment of the paper's size.
const FULL_SIZE: &str = "aez experiment paper --data stl10:stl10_binary --out paper";
/// What losses of values in [-1, 1] are above those of values in [0, 1], in decibels.
const NORMALIZED_DECIBELS: f64 = 6.020_599_913_279_624;
/// Smaller differences in decibels count as no difference.
const NEGLIGIBLE: f64 = 0.05;

/// A factor of the experiment, the other factor, and pairs of indices of outcomes without and with the factor: first the pair without
/// the other factor, then the pair with it.
type Factor = (&'static str, &'static str, [(usize, usize); 2]);
const FACTORS: [Factor; 2] =
    [("Normalization", "dropout", [(0, 2), (1, 3)]), ("Dropout", "normalization", [(0, 1), (2, 3)])];

/// The whole report.
pub fn markdown(experiment: &Experiment, data: &Dataset, outcomes: &[Outcome; 4]) -> String {
    let mut text = format!(
        "# Normalization and dropout\n\n\
         The four experiments of the paper: the network with and without normalization of the input to [-1, 1], and with and \
         without dropout of channels (probability {DROPOUT}). Each variant was trained with the paper's recipe, from the same \
         initial weights, on the same training tiles in the same order.\n\n\
         Made by `aez` {} with\n\n```sh\n{}\n```\n\n",
        env!("CARGO_PKG_VERSION"),
        experiment.command
    );
    // Writing to a string cannot fail.
    let _ = size(&mut text, experiment, data, outcomes);
    let _ = losses(&mut text, &experiment.options.recipe, data, outcomes);
    let _ = classes(&mut text, outcomes);
    let _ = files(&mut text, outcomes);
    let _ = conclusions(&mut text, outcomes);
    text
}

/// The size of this experiment compared with that of the paper.
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
    writeln!(text, "## Size\n\n| | this experiment | the paper |\n| --- | --- | --- |")?;
    writeln!(
        text,
        "| training pictures | {} ({}) | {PAPER_PICTURES} of STL-10 |",
        data.len(),
        sources.join(", ")
    )?;
    writeln!(text, "| epochs | {} | {} |", recipe.epochs, paper.epochs)?;
    writeln!(text, "| tiles per batch | {} | {} |", recipe.batch_size, paper.batch_size)?;
    writeln!(text, "| tiles seen | {tiles} | {PAPER_TILES} |")?;
    writeln!(text, "| channels | {} | {} |", config.channels, Config::default().channels)?;
    writeln!(text, "| parameters | {} | {} |\n", parameters(&config), parameters(&Config::default()))?;
    let share = tiles as f64 / PAPER_TILES as f64;
    let smaller = parameters(&config) < parameters(&Config::default());
    if share < 1.0 || smaller {
        let network = if smaller { ", and the network is smaller" } else { "" };
        writeln!(
            text,
            "**This experiment is smaller than the paper's**: it has {:.2} % of the training tiles{network}. Its results may not hold \
             at full size. The command for the full size, with STL-10 in the folder `stl10_binary`:\n\n```sh\n{FULL_SIZE}\n```\n",
            100.0 * share
        )?;
    }
    Ok(())
}

fn parameters(config: &Config) -> usize {
    config.encoder_parameters() + config.decoder_parameters()
}

fn losses(text: &mut String, recipe: &Recipe, data: &Dataset, outcomes: &[Outcome]) -> std::fmt::Result {
    writeln!(
        text,
        "## Losses\n\n![Training, validation and test loss of the four variants over the epochs]({CURVES})\n\n\
         At the end of training, for pixel values in [0, 1]:\n\n\
         | variant | training loss | validation loss | test loss | validation PSNR, dB | seconds |\n\
         | --- | --- | --- | --- | --- | --- |"
    )?;
    for outcome in outcomes {
        let row = outcome.last();
        let psnr = number(row.validation_psnr, 2);
        writeln!(
            text,
            "| {} | {} | {psnr} | {:.0} |",
            outcome.variant.name(),
            loss_cells(row, 1.0),
            row.seconds
        )?;
    }
    writeln!(
        text,
        "\nThe same in the paper's units, those of the network. Normalization maps values to [-1, 1], where the same error counts four \
         times:\n\n| variant | training loss | validation loss | test loss |\n| --- | --- | --- | --- |"
    )?;
    for outcome in outcomes {
        let scale = if outcome.variant.normalize { NORMALIZED_LOSS } else { 1.0 };
        writeln!(text, "| {} | {} |", outcome.variant.name(), loss_cells(outcome.last(), scale))?;
    }
    let (held_out, dropout) = (held_out(recipe, data), if recipe.test_dropout { "with" } else { "without" });
    writeln!(
        text,
        "\nAll losses are mean squared errors of unclamped values: the mean of the losses of the batches, as in the paper. The training \
         loss is that of the steps of the last epoch, with dropped channels in the variants with dropout, and therefore does not show \
         the effect of dropout. Validation and test loss were measured after the epoch, {dropout} dropout, on {held_out}. The PSNR is of \
         values that are clamped to [0, 1], without dropout. The logs `VARIANT.safetensors.csv` and the chart have values in [0, 1]; the \
         logs have both units.\n"
    )
}

/// The three losses of a row, as cells of a table.
fn loss_cells(row: &Row, scale: f64) -> String {
    [row.train_loss, row.validation_loss, row.test_loss].map(|loss| number(scale * loss, 6)).join(" | ")
}

/// The tiles of the validation and the test loss.
fn held_out(recipe: &Recipe, data: &Dataset) -> String {
    let sets = [("validation", data.validation()), ("test", data.test())].map(|(name, set)| {
        let part = match recipe.whole_sets {
            true => "all",
            false => &format!("the first {}", set.len().min(MEASURED_TILES)),
        };
        format!("{part} of the {} {name} tiles ({})", set.len(), set.origins().join(", "))
    });
    sets.join(" and ")
}

fn classes(text: &mut String, outcomes: &[Outcome]) -> std::fmt::Result {
    if outcomes[0].classes.is_empty() {
        return Ok(());
    }
    let names = outcomes.iter().map(|outcome| outcome.variant.name());
    writeln!(
        text,
        "## Classes\n\nTest loss by class, for pixel values in [0, 1], of all test tiles, without dropout, with the model files (whose \
         weights may be rounded to 8 bits).\n"
    )?;
    table_head(text, "class | tiles", names)?;
    for (index, class) in outcomes[0].classes.iter().enumerate() {
        let losses: Vec<String> =
            outcomes.iter().map(|outcome| number(outcome.classes[index].loss, 6)).collect();
        writeln!(text, "| {} | {} | {} |", class.name, class.tiles, losses.join(" | "))?;
    }
    writeln!(text)
}

fn files(text: &mut String, outcomes: &[Outcome]) -> std::fmt::Result {
    writeln!(
        text,
        "## Files\n\nAverage size of whole files and average PSNR of {} test tiles, with one tile per file, at effort 0. The last \
         column is the same model without quantization of the latents.\n",
        outcomes[0].tiles
    )?;
    let qualities: Vec<String> =
        outcomes[0].coded.iter().map(|coded| format!("quality {}", coded.quality.get())).collect();
    head(text, qualities.iter().map(String::as_str).chain(["without quantization"]))?;
    for outcome in outcomes {
        let cells =
            outcome.coded.iter().map(|coded| format!("{:.1} bytes, {:.2} dB", coded.bytes, coded.psnr));
        let cells: Vec<String> = cells.chain([format!("{:.2} dB", outcome.network_psnr)]).collect();
        writeln!(text, "| {} | {} |", outcome.variant.name(), cells.join(" | "))?;
    }
    let sizes = common_sizes(outcomes);
    if sizes.is_empty() {
        return writeln!(text, "\nThere is no size that the files of all variants cover.\n");
    }
    writeln!(text, "\nPSNR in dB at equal size, interpolated:\n")?;
    let columns: Vec<String> = sizes.iter().map(|bytes| format!("{bytes} bytes")).collect();
    head(text, columns.iter().map(String::as_str))?;
    for outcome in outcomes {
        let cells = sizes.iter().map(|&bytes| number(outcome.psnr_at(bytes).unwrap_or(f64::NAN), 2));
        let cells: Vec<String> = cells.collect();
        writeln!(text, "| {} | {} |", outcome.variant.name(), cells.join(" | "))?;
    }
    writeln!(text)
}

/// The header of a table with a row for each variant.
fn head<'a>(text: &mut String, columns: impl Iterator<Item = &'a str>) -> std::fmt::Result {
    table_head(text, "variant", columns)
}

/// The header of a table with the columns `first`, separated by `|`, and others.
fn table_head<'a>(
    text: &mut String,
    first: &'a str,
    columns: impl Iterator<Item = &'a str>,
) -> std::fmt::Result {
    let names: Vec<&str> = first.split(" | ").chain(columns).collect();
    writeln!(text, "| {} |\n|{}", names.join(" | "), " --- |".repeat(names.len()))
}

fn conclusions(text: &mut String, outcomes: &[Outcome]) -> std::fmt::Result {
    let sizes = common_sizes(outcomes);
    let bytes = sizes.get(sizes.len() / 2).copied();
    let loss = |outcome: &Outcome| Some(-10.0 * outcome.last().test_loss.log10()).filter(|db| db.is_finite());
    let network_loss = |outcome: &Outcome| {
        Some(loss(outcome)? - if outcome.variant.normalize { NORMALIZED_DECIBELS } else { 0.0 })
    };
    let file = |outcome: &Outcome| bytes.and_then(|bytes| outcome.psnr_at(bytes));
    let what = bytes.map_or("files".into(), |bytes| format!("files of {bytes} bytes"));
    writeln!(
        text,
        "## Conclusions\n\nGains in dB by the test loss in both units and by the PSNR of {what} (negative: worse):\n\n\
         | | test loss | test loss in the paper's units | {what} |\n| --- | --- | --- | --- |"
    )?;
    let gains =
        |pair| [gain(outcomes, pair, loss), gain(outcomes, pair, network_loss), gain(outcomes, pair, file)];
    let verdicts = |pairs: [(usize, usize); 2]| {
        let [first, second] = pairs.map(gains);
        std::array::from_fn(|score| verdict([first[score], second[score]]))
    };
    for (name, other, pairs) in FACTORS {
        for (case, pair) in ["without", "with"].into_iter().zip(pairs) {
            let cells = gains(pair).map(|gain| {
                gain.map_or("–".into(), |gain| format!("{:+.2}", (gain * 100.0).round() / 100.0 + 0.0))
            });
            writeln!(text, "| {name}, {case} {other} | {} |", cells.join(" | "))?;
        }
    }
    writeln!(text)?;
    for (name, _, pairs) in FACTORS {
        let [loss, network_loss, file]: [&str; 3] = verdicts(pairs);
        writeln!(
            text,
            "- {name}: {loss} for the test loss; {network_loss} for the test loss in the paper's units; {file} for {what}."
        )?;
    }
    let [loss_verdict, network_verdict, _] = verdicts(FACTORS[0].2);
    writeln!(text, "{}", meaning(loss_verdict, network_verdict))?;
    if let Some((outcome, loss)) = best(outcomes, loss) {
        let loss = 10f64.powf(-loss / 10.0);
        writeln!(text, "- Lowest test loss: `{}`, {}.", outcome.variant.name(), number(loss, 6))?;
    }
    if let Some((outcome, psnr)) = best(outcomes, file) {
        writeln!(text, "- Best {what}: `{}`, {psnr:.2} dB.", outcome.variant.name())?;
    }
    writeln!(
        text,
        "\nDifferences of less than {NEGLIGIBLE} dB count as none. Each variant was trained once, with one seed; how much of a \
         difference is due to chance was not measured."
    )
}

/// What the verdicts on normalization in both units mean.
fn meaning(common: &str, network: &str) -> String {
    let mut text = String::from(
        "- The test loss compares the errors of pixels in equal units. In the paper's units, the same error counts four times (6.02 dB) \
         in the variants with normalization, and a comparison with the others says nothing about pictures.",
    );
    if common != network {
        text += " **The verdict on normalization depends on the units**, and the one in the paper's units is due to the factor of four.";
    }
    text + " The units do not matter for dropout."
}

/// The score in decibels of the second outcome of a pair, minus that of the first.
fn gain(
    outcomes: &[Outcome],
    (without, with): (usize, usize),
    score: impl Fn(&Outcome) -> Option<f64>,
) -> Option<f64> {
    Some(score(&outcomes[with])? - score(&outcomes[without])?)
}

/// The outcome with the highest score, and the score.
fn best(outcomes: &[Outcome], score: impl Fn(&Outcome) -> Option<f64>) -> Option<(&Outcome, f64)> {
    let scored = outcomes.iter().filter_map(|outcome| Some((outcome, score(outcome)?)));
    scored.max_by(|a, b| a.1.total_cmp(&b.1))
}

/// The verdict on a factor from its gains without and with the other factor.
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

/// A number with some decimals, or a dash if it is not finite.
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
    fn conclusions_follow_from_the_measurements() {
        // Normalization halves the loss and lowers the PSNR of files by 1 dB. Dropout has no effect.
        let of = |loss, psnr| move |variant| outcome(variant, loss, &[(20.0, psnr), (80.0, psnr + 2.0)]);
        let [plain, dropout, normalize, both] = Variant::ALL;
        let outcomes = [
            of(0.02, 12.0)(plain),
            of(0.02, 12.04)(dropout),
            of(0.01, 11.0)(normalize),
            of(0.01, 11.04)(both),
        ];
        let markdown = text(|text| conclusions(text, &outcomes));
        for line in [
            "| | test loss | test loss in the paper's units | files of 40 bytes |",
            "| Normalization, without dropout | +3.01 | -3.01 | -1.00 |",
            "| Dropout, with normalization | +0.00 | +0.00 | +0.04 |",
            "- Normalization: helps for the test loss; harms for the test loss in the paper's units; harms for files of 40 bytes.",
            "- Dropout: makes no difference for the test loss; makes no difference for the test loss in the paper's units; makes no \
             difference for files of 40 bytes.",
            "- Best files of 40 bytes: `dropout`, 13.04 dB.",
        ] {
            assert!(markdown.lines().any(|found| found == line), "{line:?} is missing in {markdown}");
        }
        assert!(markdown.contains("depends on the units"), "{markdown}");
    }

    #[test]
    fn a_verdict_that_is_the_same_in_both_units_is_not_called_into_question() {
        assert!(!meaning("harms", "harms").contains("depends on the units"));
    }

    #[test]
    fn verdicts_consider_both_cases() {
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
    fn outcomes_without_common_sizes_are_not_compared() {
        let mut outcomes = Variant::ALL.map(|variant| outcome(variant, 0.01, &[(20.0, 9.0), (30.0, 10.0)]));
        outcomes[3] = outcome(Variant::ALL[3], f64::NAN, &[(90.0, 9.0), (95.0, 10.0)]);
        assert!(text(|text| files(text, &outcomes)).contains("no size that the files"));
        let markdown = text(|text| conclusions(text, &outcomes));
        assert!(
            markdown.contains("| Dropout, with normalization | – | – | – |")
                && markdown.contains("cannot be compared")
        );
        assert!(!markdown.contains("NaN") && loss_cells(outcomes[3].last(), 1.0).ends_with("| – | –"));
    }
}
