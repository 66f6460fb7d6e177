#!/usr/bin/env bash
# Installs what `cargo build --release --features cuda` needs into a folder, from Python wheels. Needs no root, GPU or driver.
#
#   scripts/cuda-toolkit.sh DIR             installs (1.2 GB download, 1.7 GB on disk) and prints the variables to set
#   eval "$(scripts/cuda-toolkit.sh DIR)"   also sets them
#
# Requires python3 with venv, and gcc and g++ (6 to 15). It can be run again.
set -euo pipefail

root=${1:?"usage: $0 DIR"}
python3 -m venv "$root"
root=$(realpath "$root")
"$root/bin/pip" install --quiet --no-deps --no-compile \
    nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-cccl==13.0.85 \
    nvidia-cuda-runtime==13.0.96 nvidia-cuda-nvrtc==13.0.88 nvidia-cublas==13.1.0.3 nvidia-curand==10.4.0.35 \
    nvidia-cudnn-cu13==9.19.0.56 >&2

packages=$("$root/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/nvidia
toolkit=$packages/cu13

# The linker looks for file names without a version. It also needs all libraries and headers in one place.
for library in "$toolkit"/lib/lib{cudart,cublas,cublasLt,curand,nvrtc}.so.*; do
    ln -sf "${library##*/}" "${library%%.so.*}.so"
done
ln -sf "$packages/cudnn/lib/libcudnn.so.9" "$toolkit/lib/libcudnn.so"
ln -sf "$packages"/cudnn/include/*.h "$toolkit/include/"

# No wheel contains the driver's library. The linker needs only a stub that defines the same functions. The stub does not
# work at run time, so it is in a folder that only the linker searches, without the file name that programs load.
mkdir -p "$toolkit/lib/stubs"
grep -oE '\bcu[A-Z]\w+' "$toolkit/include/cuda.h" | sort -u | sed 's/.*/int &(void) { return 100; }/' |
    gcc -w -fno-builtin -shared -fPIC -Wl,-soname,libcuda.so.1 -x c -o "$toolkit/lib/stubs/libcuda.so" -

cat <<END
export CUDA_HOME='$toolkit'
export NVCC='$toolkit/bin/nvcc'
export PATH='$toolkit/bin':"\$PATH"
export LD_LIBRARY_PATH='$toolkit/lib:$packages/cudnn/lib'"\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
export CUDA_COMPUTE_CAP="\${CUDA_COMPUTE_CAP:-80}"
END
