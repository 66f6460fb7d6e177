//! Runs on small pictures.

use super::*;
use aez_core::Limits;
use safetensors::{Dtype, serialize, tensor::TensorView};
use std::fs;

/// Crops of pictures of waves.
fn crops() -> Crops {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..6_u32 {
        let value = |i: u32| (128.0 + 100.0 * ((i * (number + 2)) as f32 / 70.0).sin()) as u8;
        let picture = Picture::from_rgb(40, 36, (0..40 * 36 * 3).map(value).collect());
        let png = encode(&picture, PictureFormat::Png).unwrap();
        fs::write(folder.path().join(format!("{number}.png")), png).unwrap();
    }
    let spec = folder.path().to_str().unwrap().parse().unwrap();
    Crops::open(&[spec], 16, &Limits::default()).unwrap()
}

fn recipe() -> Recipe {
    let changes =
        ["levels=3", "edge=16", "pool=3", "updates=5", "preparation=2", "0.features=3", "1.features=3"];
    let recipe = changes.iter().fold(Recipe::default(), |recipe, change| recipe.with(change).unwrap());
    ["0.hidden=2", "1.hidden=2", "2.hidden=2", "2.features=3"]
        .iter()
        .fold(recipe, |recipe, change| recipe.with(change).unwrap())
}

#[test]
fn an_interrupted_run_continues_exactly() {
    continues_exactly(recipe());
    continues_exactly(recipe().with("directions=2").unwrap());
}

fn continues_exactly(recipe: Recipe) {
    let crops = crops();
    let folder = tempfile::tempdir().unwrap();
    let quality = Quality::new(30).unwrap();
    let options = |name: &str| Options {
        steps: 24,
        measure_every: 10,
        checkpoint_every: Duration::ZERO,
        ..Options::new(quality, recipe.clone(), folder.path().join(name))
    };
    let (whole, resumed) = (options("whole"), Options { resume: true, ..options("resumed") });
    let (from, to) = (Files::beside(&whole.out), Files::beside(&resumed.out));
    let (mut steps, mut rows) = (0, Vec::new());
    train(&crops, &whole, &mut |event| match event {
        Event::Step { .. } => {
            steps += 1;
            // The checkpoint is from the step before.
            if steps == 14 {
                fs::copy(&from.checkpoint, &to.checkpoint).unwrap();
                fs::copy(&from.log, &to.log).unwrap();
            }
        }
        Event::Measured(row) => rows.push(*row),
    })
    .unwrap();
    assert_eq!(rows.iter().map(|row| row.steps).collect::<Vec<_>>(), [10, 20, 24]);
    assert!(rows.iter().all(|row| row.validation_loss.is_finite() && row.crops > 3));
    let mut again = 0;
    train(&crops, &resumed, &mut |event| again += u32::from(matches!(event, Event::Step { .. }))).unwrap();
    assert_eq!(again, 24 - 13);
    assert_eq!(fs::read(&whole.out).unwrap(), fs::read(&resumed.out).unwrap());
    let without_time =
        |path| log::load(path, 99).unwrap().iter().map(|row| row.train_loss).collect::<Vec<_>>();
    assert_eq!(without_time(&from.log), without_time(&to.log));
    let other = Options { recipe: recipe.with("rate=1e-3").unwrap(), ..resumed };
    assert!(train(&crops, &other, &mut |_| {}).unwrap_err().to_string().contains("different recipe"));
}

#[test]
fn networks_are_added_to_a_model() {
    let crops = crops();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("model");
    let run = |quality, init: Option<(String, Vec<u8>)>| {
        let quality = Quality::new(quality).unwrap();
        let options = Options { steps: 3, init, ..Options::new(quality, recipe(), &out) };
        train(&crops, &options, &mut |_| {}).unwrap();
        PhotoModel::from_bytes(&fs::read(&out).unwrap()).unwrap()
    };
    let qualities = |model: &PhotoModel| model.qualities();
    assert_eq!(qualities(&run(30, None)), [30]);
    let init = || Some(("first".to_owned(), fs::read(&out).unwrap()));
    assert_eq!(qualities(&run(52, init())), [30, 52]);
    assert_eq!(qualities(&run(30, init())), [30, 52]);
    let text = fs::read(&out).unwrap();
    let text = String::from_utf8_lossy(&text);
    assert_eq!(text.matches(r#"\"init\":\"first\""#).count(), 2, "both were trained again");
}

/// The file of a network in floating point, with directions.
fn float_file(quality: u8, network: &Network) -> Vec<u8> {
    let config = serde_json::to_string(network.config()).unwrap();
    let about = format!(r#"{{"version":1,"family":"photo-float","quality":{quality},"config":{config}}}"#);
    let [parameters, directions] = [network.parameters(), network.directions()]
        .map(|values| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
    let views = [("parameters", &parameters), ("directions", &directions)]
        .map(|(name, bytes)| (name, TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes).unwrap()));
    serialize(views, Some([("aez".to_owned(), about)].into())).unwrap()
}

#[test]
fn networks_of_other_programs_are_rounded_and_added_to_a_model() {
    let crops = crops();
    let folder = tempfile::tempdir().unwrap();
    let quality = |q| Quality::new(q).unwrap();
    let config = recipe().with("directions=2").unwrap().config;
    let network = Network::new(config, lambda(quality(30)), 5).unwrap();
    let file = float_file(30, &network);
    let run = |q, into: Option<Vec<u8>>| {
        let out = folder.path().join("model");
        let init = Some(("float".into(), file.clone()));
        let options = Options { steps: 0, init, into, ..Options::new(quality(q), recipe(), &out) };
        train(&crops, &options, &mut |_| {}).map(|()| fs::read(&out).unwrap())
    };
    let alone = run(30, None).unwrap();
    let other = PhotoModel::to_bytes(&[(quality(52), &network)]).unwrap();
    let added = PhotoModel::from_bytes(&run(30, Some(other)).unwrap()).unwrap();
    assert_eq!(added.qualities(), [30, 52]);
    let model = PhotoModel::from_bytes(&alone).unwrap();
    assert_eq!(model.id(), {
        let expected = PhotoModel::to_bytes(&[(quality(30), &network)]).unwrap();
        PhotoModel::from_bytes(&expected).unwrap().id()
    });
    assert!(run(52, None).unwrap_err().to_string().contains("for quality 30"));
    assert!(run(30, Some(file.clone())).is_err());
}

#[test]
fn directions_are_added_to_a_network_and_to_others() {
    let crops = crops();
    let folder = tempfile::tempdir().unwrap();
    let quality = Quality::new(30).unwrap();
    let network = Network::new(recipe().config, lambda(quality), 5).unwrap();
    let mut init = PhotoModel::to_bytes(&[(quality, &network)]).unwrap();
    for (count, only) in [(2, false), (3, true)] {
        let recipe = recipe().with(&format!("directions={count}")).unwrap();
        let recipe = recipe.with(&format!("only_directions={only}")).unwrap();
        let out = folder.path().join(count.to_string());
        let options =
            Options { steps: 3, init: Some(("old".into(), init)), ..Options::new(quality, recipe, &out) };
        train(&crops, &options, &mut |_| {}).unwrap();
        init = fs::read(&out).unwrap();
        let model = PhotoModel::from_bytes(&init).unwrap();
        assert_eq!(model.network(quality).0.config().directions, count);
    }
}
