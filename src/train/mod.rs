//! The third road: from folders of pictures to a model.

pub mod augment;
pub mod checkpoint;
pub mod data;
pub mod experiment;
pub mod fetch;
mod folder;
pub mod grid;
pub mod learner;
pub mod log;
pub mod loss;
mod measure;
mod muon;
pub mod optimizer;
pub mod recipe;
pub mod run;
pub mod spec;
pub mod start;
pub mod stl10;
