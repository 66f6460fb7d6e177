//! `aez pack`

use std::path::{Path, PathBuf};

use aez_core::{Error, Limits, Model, tiled::TiledModel};

use super::{
    common::{Common, WeightFormat, is_builtin},
    failure::{Failure, log},
    files::{check_output, read_input, write_output},
};

/// Store the weights of a model in another form
///
/// The network, the quantizer and the prior stay the same, but for the rounding of the weights. The result is another model with
/// another id: it does not decode files that were encoded with the first one. Each rounding loses something: pack the form that
/// has the most bits.
#[derive(clap::Args)]
pub struct Args {
    /// A model file, the name of a built-in model (tile), or `-` for standard input
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Model file to write, or `-` for standard output
    #[arg(value_name = "OUT")]
    out: PathBuf,
    /// Number format of the weights
    #[arg(long, value_enum, default_value_t = WeightFormat::Packed)]
    weights: WeightFormat,
}

impl Args {
    pub fn run(&self, common: &Common) -> Result<(), Failure> {
        check_output(&self.out, common.force)?;
        let in_model = |error| Failure::in_file(&self.model, error);
        let model = open(&self.model).map_err(in_model)?;
        let tiled = model
            .tiled()
            .ok_or_else(|| in_model(Error::Misuse("only models of the tiled family are packed".into())))?;
        let parameters = tiled.parameters().map_err(in_model)?;
        let (quantizer, prior, provenance) = (tiled.quantizer(), tiled.prior(), tiled.provenance());
        let bytes = TiledModel::to_bytes(&parameters, quantizer, prior, provenance, self.weights.into())?;
        write_output(&self.out, &bytes, None)?;
        if !common.quiet {
            let id = TiledModel::from_bytes(bytes)?.id();
            log(&format!("wrote {}, model {id} from model {}", self.out.display(), tiled.id()));
        }
        Ok(())
    }
}

fn open(model: &Path) -> aez_core::Result<Model> {
    match is_builtin(model) {
        true => aez::models::open(model),
        false => Model::from_bytes(read_input(model, Limits::default().max_memory)?),
    }
}
