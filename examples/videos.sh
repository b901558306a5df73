#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# videos.sh COVER SECRET SECRET SECRET SECRET OUT: hides four videos in the video COVER, whose sound, if
# any, stays, as OUT/stego.mkv, and reveals each from there as OUT/revealed_0.mkv to OUT/revealed_3.mkv.
# The secrets' own sound is not hidden.
set -euo pipefail
(($# == 6)) || {
    sed -n '3,/^set/s/^# //p' "$0" >&2
    exit 2
}
cover=$1 secrets=("${@:2:4}") out=$6

# FFV1 keeps R, G and B as they are.
exact=(videoconvert ! video/x-raw,format=BGRx ! avenc_ffv1 ! matroskamux)

has_sound() {
    gst-launch-1.0 -q filesrc location="$1" ! decodebin ! audio/x-raw ! fakesink num-buffers=1 &>/dev/null
}

mkdir -p "$out"
sound=()
if has_sound "$cover"; then
    sound=(d. ! queue ! audioconvert ! flacenc ! m.)
fi
inputs=() outputs=()
for u in "${!secrets[@]}"; do
    inputs+=(filesrc location="${secrets[u]}" ! decodebin ! c.secret_"$u")
    outputs+=(r.src_"$u" ! queue ! "${exact[@]}" ! filesink location="$out/revealed_$u.mkv")
done

set -x
gst-launch-1.0 filesrc location="$cover" ! decodebin name=d \
    d. ! queue ! videoconvert ! c.sink "${inputs[@]}" \
    invmihconceal name=c ! queue ! "${exact[@]}" name=m ! filesink location="$out/stego.mkv" \
    "${sound[@]}"
gst-launch-1.0 filesrc location="$out/stego.mkv" ! decodebin ! videoconvert \
    ! invmihreveal name=r "${outputs[@]}"
