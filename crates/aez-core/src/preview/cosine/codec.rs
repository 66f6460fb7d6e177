//! The model as a [`Codec`], which encodes previews only, and no files.

use std::borrow::Cow;

use super::PreviewModel;
use crate::{
    codec::{Analysis, Codec, Tune},
    container::{Family, Header, ModelId},
    error::{Error, Result},
    limits::Limits,
    picture::Picture,
};

impl Codec for PreviewModel {
    fn family(&self) -> Family {
        Family::PREVIEW
    }

    fn id(&self) -> ModelId {
        PreviewModel::id(self)
    }

    fn info(&self) -> serde_json::Value {
        serde_json::json!({
            "model_id": self.id().to_string(),
            "family": "preview",
            "coefficients": super::COUNT,
            "picture": super::EDGE,
        })
    }

    fn analyse<'a>(&'a self, _: Cow<'a, Picture>, _: Tune) -> Result<Box<dyn Analysis + 'a>> {
        Err(self.no_files())
    }

    fn memory(&self, header: &Header) -> u64 {
        header.pixels() * 3
    }

    fn decode(&self, _: &Header, _: &[u8], _: &Limits) -> Result<Vec<u8>> {
        Err(self.no_files())
    }
}

impl PreviewModel {
    fn no_files(&self) -> Error {
        Error::Misuse(format!("model {} is for previews and not for files", self.id()))
    }
}
