//! A network in floating point from another program.
//!
//! Its file is a safetensors file whose metadata have one entry, `aez`: a JSON object of [`Metadata`]. Its tensors are `parameters` (F32),
//! in the order of [`Network::parameters`], and, if the network has directions, `directions` (F32, `[direction][parameter]`).

use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use super::{
    config::Config,
    model::{foreign, metadata},
    network::Network,
    quality::lambda,
};
use crate::{
    error::{Error, Result},
    symbols::Quality,
};

/// Version of the file that this library reads.
const VERSION: u32 = 1;
/// The value of [`Metadata::family`].
const FAMILY: &str = "photo-float";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    version: u32,
    family: String,
    /// The quality that the network was trained for.
    quality: u8,
    config: Config,
}

/// Reads the file of a network in floating point, and the quality that it was trained for; `None` for a file of another family.
///
/// # Errors
/// [`Error::Model`] when the bytes are not a usable file.
pub fn read_float(bytes: &[u8]) -> Result<Option<(Quality, Network)>> {
    let text = metadata(bytes)?;
    let damaged = |e: serde_json::Error| Error::Model(format!("its metadata are damaged ({e})"));
    let family: serde_json::Value = serde_json::from_str(&text).map_err(damaged)?;
    if family["family"] != FAMILY {
        return Ok(None);
    }
    let Metadata { version, family, quality, config } = serde_json::from_str(&text).map_err(damaged)?;
    if version != VERSION {
        return Err(Error::Model(format!("it is of version {version} of family {family:?}")));
    }
    let quality = Quality::new(quality).map_err(|e| Error::Model(e.to_string()))?;
    let tensors = SafeTensors::deserialize(bytes).map_err(foreign)?;
    let has_directions = config.directions > 0;
    let network = Network::from_parameters(config, lambda(quality), read(&tensors, "parameters")?)?;
    let directions = if has_directions { read(&tensors, "directions")? } else { Vec::new() };
    Ok(Some((quality, network.with_directions(directions)?)))
}

fn read(tensors: &SafeTensors<'_>, name: &str) -> Result<Vec<f32>> {
    let view = tensors.tensor(name).map_err(|_| Error::Model(format!("it has no tensor {name}")))?;
    if view.dtype() != Dtype::F32 {
        return Err(Error::Model(format!("{name} is of type {:?}, not F32", view.dtype())));
    }
    Ok(view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

#[cfg(test)]
mod tests {
    use safetensors::{serialize, tensor::TensorView};

    use super::{super::tests::small_network, *};

    fn file(about: &str, tensors: &[(&str, Dtype, &[f32])]) -> Vec<u8> {
        let bytes: Vec<Vec<u8>> = tensors
            .iter()
            .map(|(_, _, values)| values.iter().flat_map(|value| value.to_le_bytes()).collect())
            .collect();
        let views = tensors.iter().zip(&bytes).map(|((name, dtype, values), bytes)| {
            (*name, TensorView::new(*dtype, vec![values.len()], bytes).unwrap())
        });
        serialize(views, Some([("aez".to_owned(), about.to_owned())].into())).unwrap()
    }

    #[test]
    fn networks_are_read_and_other_files_are_errors() {
        let network = small_network().with_random_directions(2, 1).unwrap();
        let config = serde_json::to_string(network.config()).unwrap();
        let about = |version: u32, quality: u32| {
            format!(r#"{{"version":{version},"family":"photo-float","quality":{quality},"config":{config}}}"#)
        };
        let about_good = about(1, 41);
        let parameters = ("parameters", Dtype::F32, network.parameters());
        let directions = ("directions", Dtype::F32, &network.directions[..]);
        let good = file(&about_good, &[parameters, directions]);
        let (quality, read) = read_float(&good).unwrap().unwrap();
        assert_eq!(quality.get(), 41);
        assert!(read.parameters == network.parameters && read.directions == network.directions);
        let everywhere = vec![0.5; network.directions.len()];
        let infinite = vec![f32::INFINITY; network.parameters.len()];
        for bad in [
            file(&about(2, 41), &[parameters, directions]),
            file(&about(1, 0), &[parameters, directions]),
            file(&about_good.replace("quality", "kind"), &[parameters, directions]),
            file(&about_good.replace("\"hidden\":4", "\"hidden\":5"), &[parameters, directions]),
            file(&about_good, &[parameters]),
            file(&about_good, &[directions]),
            file(&about_good, &[parameters, ("directions", Dtype::F32, &everywhere)]),
            file(&about_good, &[parameters, ("directions", Dtype::F32, &everywhere[1..])]),
            file(&about_good, &[("parameters", Dtype::F32, &infinite), directions]),
            file(&about_good, &[("parameters", Dtype::I32, network.parameters()), directions]),
            good[..good.len() - 1].to_vec(),
        ] {
            assert!(matches!(read_float(&bad), Err(Error::Model(_))));
        }
        assert!(read_float(&file(&about_good.replace("-float", ""), &[parameters])).unwrap().is_none());
    }
}
