//! The command `aez`.

fn main() {}
