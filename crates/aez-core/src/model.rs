//! A model of any family.

use crate::{
    codec::Codec,
    container::{Family, ModelId},
    error::Result,
    photo::PhotoModel,
    preview::PreviewModel,
    tiled::TiledModel,
};

/// A trained model, which encodes and decodes pictures: see [`Encoder`](crate::Encoder) and [`Decoder`](crate::Decoder).
pub struct Model {
    kind: Kind,
}

enum Kind {
    Tiled(Box<TiledModel>),
    Photo(Box<PhotoModel>),
    Preview(Box<PreviewModel>),
    Custom(Box<dyn Codec>),
}

impl Model {
    /// Reads a model file. Packed weights are unpacked when they are first used: invalid bytes of their streams are errors of that use.
    ///
    /// # Errors
    /// [`Error::Model`](crate::Error::Model) when the bytes are not a usable model.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self> {
        if PhotoModel::is_family_of(&bytes) {
            return PhotoModel::from_bytes(&bytes).map(Self::from);
        }
        if PreviewModel::is_family_of(&bytes) {
            return PreviewModel::from_bytes(&bytes).map(Self::from);
        }
        TiledModel::from_bytes(bytes).map(Self::from)
    }

    /// Reads a model file that is part of the program, without copying it.
    ///
    /// # Errors
    /// As for [`Model::from_bytes`].
    pub fn from_static(bytes: &'static [u8]) -> Result<Self> {
        if PhotoModel::is_family_of(bytes) {
            return PhotoModel::from_bytes(bytes).map(Self::from);
        }
        if PreviewModel::is_family_of(bytes) {
            return PreviewModel::from_bytes(bytes).map(Self::from);
        }
        TiledModel::from_static(bytes).map(Self::from)
    }

    /// A model of a family that this library does not know.
    pub fn custom(codec: impl Codec + 'static) -> Self {
        Self { kind: Kind::Custom(Box::new(codec)) }
    }

    /// The id, which is stored in every file that the model encodes.
    #[must_use]
    pub fn id(&self) -> ModelId {
        self.codec().id()
    }

    /// The family.
    #[must_use]
    pub fn family(&self) -> Family {
        self.codec().family()
    }

    /// Properties of the model for people, as a JSON object.
    #[must_use]
    pub fn info(&self) -> serde_json::Value {
        self.codec().info()
    }

    /// Width and height of the blocks that are encoded separately, in pixels; `None` for families without blocks.
    #[must_use]
    pub fn block_edge(&self) -> Option<u32> {
        self.codec().block_edge()
    }

    /// The implementation of the model's family.
    #[must_use]
    pub fn codec(&self) -> &dyn Codec {
        match &self.kind {
            Kind::Tiled(model) => model.as_ref(),
            Kind::Photo(model) => model.as_ref(),
            Kind::Preview(model) => model.as_ref(),
            Kind::Custom(codec) => codec.as_ref(),
        }
    }

    /// The model as one of the tiled family, if it is.
    #[must_use]
    pub fn tiled(&self) -> Option<&TiledModel> {
        match &self.kind {
            Kind::Tiled(model) => Some(model),
            _ => None,
        }
    }

    /// The model as one of the tiled family, if it is.
    #[must_use]
    pub fn into_tiled(self) -> Option<TiledModel> {
        match self.kind {
            Kind::Tiled(model) => Some(*model),
            _ => None,
        }
    }

    /// The model as one of the preview family, if it is.
    #[must_use]
    pub(crate) fn preview(&self) -> Option<&PreviewModel> {
        match &self.kind {
            Kind::Preview(model) => Some(model),
            _ => None,
        }
    }

    /// The model as one of the photo family, if it is.
    #[must_use]
    pub fn into_photo(self) -> Option<PhotoModel> {
        match self.kind {
            Kind::Photo(model) => Some(*model),
            _ => None,
        }
    }
}

impl From<TiledModel> for Model {
    fn from(model: TiledModel) -> Self {
        Self { kind: Kind::Tiled(Box::new(model)) }
    }
}

impl From<PhotoModel> for Model {
    fn from(model: PhotoModel) -> Self {
        Self { kind: Kind::Photo(Box::new(model)) }
    }
}

impl From<PreviewModel> for Model {
    fn from(model: PreviewModel) -> Self {
        Self { kind: Kind::Preview(Box::new(model)) }
    }
}
