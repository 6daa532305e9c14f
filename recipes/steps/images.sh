# Sourced by run.sh of the recipes on images: their stages. Beside their options they set
#
#   corpus    name of the images, one that `speechjem.data.images` knows
#   default   name of the configuration in conf/ to train by if no other is given
#   other     arguments of image_scores.py: what the energy shall tell from the test images

for path in data conf dir; do
    [ -z "${!path}" ] || printf -v $path %s "$(realpath "${!path}")"
done
mkdir -p "$dir"
cd "$(dirname "$0")"
. ../utils/path.sh
. ./cmd.sh

conf=${conf:-$PWD/conf/$default.yaml}
exp=$dir/exp/$(basename "$conf" .yaml)

if [ -z "$data" ]; then
    data=$dir/data
    if runs 0; then
        echo "Stage 0: downloading $corpus"
        $train_cmd "$exp/log/download.log" python "$steps/fetch_images.py" $corpus "$data"
    fi
fi
if runs 1; then
    echo "Stage 1: training"
    $train_cmd "$exp/log/train.log" speechjem train-images "$conf" --data "$data" -o "$exp" --device "$device" \
        --workers "$workers"
fi
if runs 2; then
    echo "Stage 2: generating"
    $train_cmd "$exp/log/samples.log" python "$steps/image_samples.py" "$exp/model" "$exp/samples.npz" \
        --each "$each" --grid "$exp/grid.png" --device "$device"
fi
if runs 3; then
    echo "Stage 3: scores"
    $train_cmd "$exp/log/scores.log" python "$steps/image_scores.py" "$exp/model" $corpus "$data" \
        --samples "$exp/samples.npz" --device "$device" "${other[@]}"
    tail -n 1 "$exp/log/scores.log" | python -m json.tool | tee "$exp/scores.json"
fi
if runs 4 && [ "${fid:-false}" = true ]; then
    echo "Stage 4: FID"
    $train_cmd "$exp/log/fid.log" python "$steps/image_fid.py" "$exp/samples.npz" $corpus "$data" --device "$device"
    tail -n 1 "$exp/log/fid.log" | tee "$exp/fid.json"
fi
