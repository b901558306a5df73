#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# live.sh SECRETS OUT [FRAMES]: hides the first four pictures of the folder SECRETS in FRAMES (100) frames of
# a live picture, as OUT/stego.mkv, and reveals them meanwhile, small and in one picture, as OUT/preview.mkv.
# For a camera, put `v4l2src num-buffers="$frames"` and caps that it can give in the place of the test source and its
# caps; to watch what is revealed, `videoconvert ! autovideosink` in that of the last line from `"${exact[@]}"` on.
# Ctrl-C ends the files properly.
set -euo pipefail
(($# == 2 || $# == 3)) || {
    sed -n '3,/^set/s/^# //p' "$0" >&2
    exit 2
}
secrets=$1 out=$2 frames=${3:-100}

# The queue before the element drops what comes faster than it can be hidden.
latest=(queue leaky=downstream max-size-buffers=2)
exact=(videoconvert ! video/x-raw,format=BGRx ! avenc_ffv1 ! matroskamux)

mkdir -p "$out"
set -x
gst-launch-1.0 -e videotestsrc is-live=true num-buffers="$frames" \
    ! video/x-raw,width=160,height=120,framerate=10/1 \
    ! "${latest[@]}" ! videoconvert ! invmihconceal secret-location="$secrets" ! tee name=t \
    t. ! queue ! "${exact[@]}" ! filesink location="$out/stego.mkv" \
    t. ! queue ! invmihreveal output=preview ! "${exact[@]}" ! filesink location="$out/preview.mkv"
