# Sourced by run.sh of the recipes on LibriSpeech: their stages. Beside their options they set
#
#   resource  number of the corpus at OpenSLR
#   parts     what of it to train on
#   dev       what of it to measure on; empty if that is some speakers of the others
#   held_out  these speakers, where dev is empty
#   shards    whether to train on shards, for what does not fit into memory
#   conf      configuration of the training
#   suffix    of the training's folder
#   train     name of the data directory to train on
#   device    to train on
#   workers   processes that draw batches

for part in ${corpus:+$parts $dev}; do
    if [ ! -d "$corpus/$part" ]; then
        echo "$0: there is no $part in $corpus; give --corpus the folder that has it." >&2
        exit 2
    fi
done

data=$dir/data
sets="$train${dev:+ $dev}"
measured=$data/${sets##* } # the last of them
labelled=$data/$train
[ "$shards" = false ] || labelled="$data/shards_$train/*.tar"

exp=$dir/exp/$(basename "$conf" .yaml)$suffix

prepare() { # NAME PART ...
    local part sources=()
    if [ -e "$data/$1/.done" ]; then
        return
    fi
    for part in "${@:2}"; do
        if [ -z "$corpus" ] && [ ! -e "$data/LibriSpeech/$part/.done" ]; then
            echo "Stage 0: downloading $part"
            "$utils/download.sh" "https://www.openslr.org/resources/$resource/$part.tar.gz" "$data/$part.tar.gz"
            tar -xzf "$data/$part.tar.gz" -C "$data"
            touch "$data/LibriSpeech/$part/.done"
        fi
        sources+=("${corpus:-$data/LibriSpeech}/$part")
    done
    echo "Stage 0: preparing $1"
    $train_cmd "$exp/log/prepare_$1.log" python "$steps/prepare_librispeech.py" "${sources[@]}" "$data/$1"
    if [ -z "$dev" ]; then
        printf '%s\n' $held_out > "$data/$1/dev_speakers"
    fi
    touch "$data/$1/.done"
}

if runs 0; then
    prepare "$train" $parts
    [ -z "$dev" ] || prepare "$dev" "$dev"
fi
for set in $sets; do
    if runs 1 && [ ! -e "$data/$set/ali.ctm" ]; then
        echo "Stage 1: aligning $set"
        $train_cmd "$exp/log/align_$set.log" python "$steps/align.py" "$data/$set" --nj "$nj"
    fi
done
if runs 1 && grep -q '^speak:' "$conf" && [ ! -e "$data/$train/pitch.npz" ]; then
    echo "Stage 1: measuring the pitch of $train" # for the training of generation
    $train_cmd "$exp/log/pitch_$train.log" python "$steps/pitch.py" "$data/$train" --nj "$nj"
fi
if runs 2; then
    echo "Stage 2: validating"
    for set in $sets; do
        speechjem data validate "$data/$set"
    done
fi
if runs 3; then
    if [ "$shards" = true ] && [ ! -e "$data/shards_$train" ]; then
        echo "Stage 3: writing shards"
        $train_cmd "$exp/log/shard.log" speechjem data shard "$data/$train" "$data/shards_$train" --jobs "$nj"
    fi
    echo "Stage 3: training $conf"
    ${nodes_cmd:-$train_cmd} "$exp/log/train.log" ${torchrun:-} speechjem train "$conf" --labelled "$labelled" \
        -o "$exp" --device "$device" --workers "$workers" ${dev:+--held-out "$data/$dev"} \
        ${unlabelled:+--unlabelled "$unlabelled"} ${noise:+--noise "$noise"}
fi
if [ -n "$dev" ] && [ "$stop_stage" -ge 4 ]; then
    held_out=$(cut -d' ' -f2 "$data/$dev/utt2spk" | sort -u)
fi
if runs 4; then
    echo "Stage 4: phone accuracy on the speakers held out"
    $train_cmd "$exp/log/phones.log" python "$steps/phone_accuracy.py" "$exp/model" "$measured" \
        --speakers $held_out --picture "$exp/confusion.png"
    tail -n 1 "$exp/log/phones.log" | tee "$exp/phones.json"
fi
if runs 5; then
    echo "Stage 5: denoising scores"
    $train_cmd "$exp/log/pairs.log" python "$steps/make_pairs.py" "$measured" "$data" --speakers $held_out \
        ${noise:+--noise "$noise"}
    $train_cmd "$exp/log/denoising.log" python "$steps/denoise_scores.py" "$exp/model" "$data/noisy" "$data/clean"
    tail -n +2 "$exp/log/denoising.log" | tee "$exp/denoising.md"
fi
if runs 6; then
    echo "Stage 6: vowels"
    $train_cmd "$exp/log/vowels.log" python "$recipes/generate/local/vowels.py" "$exp/model" \
        --labelled "$measured" --chart "$exp/vowels.png"
    tail -n +2 "$exp/log/vowels.log" | tee "$exp/vowels.md"
fi
