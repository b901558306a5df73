#!/usr/bin/env bash
# SPDX-License-Identifier: MPL-2.0
# stills.sh COVER SECRETS OUT [NUMBER]: hides the first NUMBER (16) pictures of the folder SECRETS in the
# picture COVER, as OUT/stego.png, and reveals them from there as OUT/revealed_00.png and so on.
set -euo pipefail
(($# == 3 || $# == 4)) || {
    sed -n '3,/^set/s/^# //p' "$0" >&2
    exit 2
}
cover=$1 secrets=$2 out=$3 number=${4:-16}

mkdir -p "$out"
set -x
gst-launch-1.0 filesrc location="$cover" ! decodebin ! videoconvert \
    ! invmihconceal secrets="$number" secret-location="$secrets" \
    ! pngenc ! filesink location="$out/stego.png"
gst-launch-1.0 filesrc location="$out/stego.png" ! decodebin ! videoconvert \
    ! invmihreveal secrets="$number" \
    ! pngenc ! multifilesink location="${out//%/%%}/revealed_%02d.png"
