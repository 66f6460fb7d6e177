//! The third road: from folders of pictures to a model.

pub mod augment;
pub mod data;
pub mod fetch;
mod folder;
pub mod spec;
pub mod stl10;
