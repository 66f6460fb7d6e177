//! With the feature `cuda`, compiles our kernels to PTX, which the driver compiles for its GPU.

use std::{env, path::PathBuf, process::Command};

const SOURCE: &str = "src/layers/kernels.cu";

fn main() {
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-env-changed=NVCC");
    println!("cargo::rerun-if-env-changed=CUDA_COMPUTE_CAP");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    let compiler = env::var("NVCC").unwrap_or_else(|_| "nvcc".into());
    let capability = env::var("CUDA_COMPUTE_CAP").unwrap_or_else(|_| "80".into());
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo")).join("kernels.ptx");
    let mut command = Command::new(&compiler);
    command.args(["-ptx", "-O3", &format!("-arch=compute_{capability}"), SOURCE, "-o"]).arg(out);
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => println!("cargo::error={compiler} failed on {SOURCE}: {status}"),
        Err(error) => println!("cargo::error=cannot run {compiler}, the compiler of CUDA: {error}"),
    }
}
