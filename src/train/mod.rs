//! The third road: from folders of pictures to a model.

pub mod data;
mod folder;
pub mod spec;
pub mod stl10;
