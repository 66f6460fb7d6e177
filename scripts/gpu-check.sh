#!/usr/bin/env bash
# Checks training on a GPU in at most ten minutes: tests, speed, losses compared with the CPU, then a training run.
#
#   scripts/gpu-check.sh AEZ DATA OUT
#
# AEZ is the program, built with the feature `cuda`. DATA is a folder from `aez dataset pack` or `aez dataset fetch`. Results are
# written to the folder OUT: tests.txt, bench.txt, compare.txt, and the log and the newest checkpoint of each run. They are copied there every
# two minutes, so that little is lost if the machine stops. The exit status is 0 if all steps succeeded and the losses agree.
#
# TESTS may name the test program of the crate aez-train, which `cargo test --release --features cuda -p aez-train --lib --no-run`
# builds. Its tests that compare a GPU with the CPU are run first.
#
# MODEL may name a model file for the benchmark, if the program was built without a model.
#
# The following variables change the limits. To rehearse on a CPU:
#
#   DEVICE=cpu CHANNELS=24 LIMIT=16 BATCH=8 ROW_TILES=16 BENCH_S=150 COMPARE_S=75 COPY_S=10 TOTAL_S=360 scripts/gpu-check.sh ...
set -uo pipefail

usage="usage: $0 AEZ DATA OUT"
aez=$(realpath "${1:?$usage}") data=$(realpath "${2:?$usage}") out=${3:?$usage}

device=${DEVICE:-cuda}
total_s=${TOTAL_S:-580}        # the whole script
tests_s=${TESTS_S:-60}         # limit of the tests
bench_s=${BENCH_S:-60}         # limit of the benchmark
compare_s=${COMPARE_S:-120}    # training on both devices
finish_s=${FINISH_S:-60}       # what a run may take after its training time, to calibrate and write the model
copy_s=${COPY_S:-120}          # time between two copies to OUT
row_tiles=${ROW_TILES:-1024}   # training tiles between two compared losses
tolerance=${TOLERANCE:-0.02}   # largest relative difference of losses
batch=${BATCH:-64}             # tiles per step
recipe=${RECIPE:-tuned}        # recipe of the last run
options=(--data "stl10:$data" --batch-size "$batch" --force)
[[ -n ${CHANNELS:-} ]] && options+=(--channels "$CHANNELS")
[[ -n ${LIMIT:-} ]] && options+=(--limit "$LIMIT")

mkdir -p "$out"
out=$(realpath "$out")
work=$(mktemp -d)
failed=0
copier=

stop_copier() {
    [[ -n $copier ]] && kill "$copier" 2>/dev/null && wait "$copier" 2>/dev/null
    copier=
}
trap 'stop_copier; rm -rf "$work"' EXIT

minutes() { awk -v s="$1" 'BEGIN { print s / 60 }'; }

fail() {
    echo "FAILED: $1"
    failed=1
}

# Copies the files of the runs. A copy that is interrupted leaves the one before it.
copy() {
    local file
    for file in "$work"/*.{csv,checkpoint,safetensors}; do
        [[ -e $file ]] || continue
        cp "$file" "$out/.part" && mv "$out/.part" "$out/${file##*/}"
    done
}

# train NAME DEVICE SECONDS [OPTION...]: the checkpoints are written more often than they are copied.
train() {
    local name=$1 on=$2 seconds=$3
    shift 3
    timeout $((seconds + finish_s)) "$aez" train "${options[@]}" --device "$on" --minutes "$(minutes "$seconds")" \
        --checkpoint-every "$(minutes $((copy_s / 2)))" --out "$work/$name.safetensors" "$@" >"$work/$name.txt" 2>&1
}

if [[ -n ${TESTS:-} ]]; then
    echo "== tests (at most $tests_s s)"
    timeout "$tests_s" "$TESTS" --nocapture adam:: backend_tests:: layers:: learner:: &>"$out/tests.txt" || fail "tests"
    grep -E "^test result|panicked|^skipped" "$out/tests.txt"
fi

echo "== speed (at most $bench_s s)"
timeout "$bench_s" "$aez" bench --train --device "$device" ${MODEL:+--model "$MODEL"} 2>&1 | tee "$out/bench.txt" || fail "bench"

echo "== $compare_s s of training on $device and on the CPU"
# The paper's recipe: its learning rate does not depend on how far a run gets in its time.
same=(--recipe paper --set whole_sets=false --log-every "$row_tiles")
train compare-cpu cpu "$compare_s" "${same[@]}" &
on_cpu=$!
train compare-device "$device" "$compare_s" "${same[@]}" || fail "training on $device: $(tail -1 "$work/compare-device.txt")"
wait "$on_cpu" || fail "training on the CPU: $(tail -1 "$work/compare-cpu.txt")"
copy
# Rows after the same number of tiles. Before the first step there is no training loss.
awk -F, -v tolerance="$tolerance" '
    FNR == 1 { next }
    NR == FNR { loss[$2] = $5; next }
    $2 in loss {
        difference = ($5 - loss[$2]) / loss[$2]
        if (difference < 0) difference = -difference
        printf "%8d tiles: validation loss %.6f on the CPU, %.6f on the device, differs by %.2e\n", $2, loss[$2], $5, difference
        if (!(difference <= tolerance)) bad = 1
        rows++
    }
    END { print rows + 0 " losses compared"; exit bad || rows < 2 }
' "$work/compare-cpu.safetensors.csv" "$work/compare-device.safetensors.csv" 2>&1 | tee "$out/compare.txt" || fail "the losses differ, or fewer than two could be compared"

left=$((total_s - SECONDS - finish_s))
if ((left < copy_s)); then
    fail "only $left s are left for the training run"
else
    echo "== $left s of training on $device, copied to $out every $copy_s s"
    # A sleep that outlives the loop must not keep the output of this script open.
    while sleep "$copy_s" </dev/null &>/dev/null; do copy; done &
    copier=$!
    train run "$device" "$left" --recipe "$recipe" || fail "training run: $(tail -1 "$work/run.txt")"
    stop_copier
    copy
    tail -3 "$work/run.txt"
fi
cp "$work"/*.txt "$out/"
((failed)) && echo "FAILED after $SECONDS s" || echo "OK after $SECONDS s"
exit "$failed"
